use super::harness::{EVENT, house, post};

/// A request line and headers; Host, type and body are added where the vector leaves room for them.
const VECTORS: &[&str] = &[
    // Framing that two readers may see in two ways.
    "POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST /v1/events HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
    "POST /v1/events HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST /v1/events HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "POST /v1/events HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "POST /v1/events HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "POST /v1/events HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "POST /v1/events HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "POST /v1/events HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
    "POST /v1/events HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n",
    "POST /v1/events HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n0\r\n\r\n",
    "POST /v1/events HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    "POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Length: 2, 2\r\n\r\n{}",
    "POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Length: +2\r\n\r\n{}",
    "POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Length: -2\r\n\r\n{}",
    "POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Length: 0x2\r\n\r\n{}",
    "POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Length: 2 2\r\n\r\n{}",
    "POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n{}",
    "POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n{}",
    // Lines.
    "POST /v1/events HTTP/1.1\nHost: a\nContent-Length: 2\n\n{}",
    "POST /v1/events HTTP/1.1\r\nHost: a\nContent-Length: 2\r\n\r\n{}",
    "POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\n{}",
    "POST /v1/events HTTP/1.1\r\nHost: a\r\nX: a\rContent-Length: 2\r\n\r\n{}",
    "POST /v1/events HTTP/1.1\r\nHost: a\r\nX: a\r\n Content-Length: 2\r\n\r\n{}",
    "POST /v1/events HTTP/1.1\r\n Host: a\r\nContent-Length: 2\r\n\r\n{}",
    "POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Length : 2\r\n\r\n{}",
    "POST /v1/events HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n",
    "POST /v1/events HTTP/1.1\r\nHost: a\r\n: no name\r\n\r\n",
    "POST /v1/events HTTP/1.1\r\nHost: a\r\nX: \x01\r\n\r\n",
    "POST /v1/events HTTP/1.1\r\nHost: a\r\nX\0: y\r\n\r\n",
    "POST /v1/events HTTP/1.1\r\nHost: a\r\nX: y\0\r\n\r\n",
    // Whom it is for.
    "POST /v1/events HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}",
    "POST /v1/events HTTP/1.0\r\nContent-Length: 2\r\n\r\n{}",
    "POST /v1/events HTTP/1.1\r\nHost: a\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}",
    "POST /v1/events HTTP/1.1\r\nHost: a\r\nHost: b\r\nContent-Length: 2\r\n\r\n{}",
    "POST /v1/events HTTP/1.1\r\nHost:\r\nContent-Length: 2\r\n\r\n{}",
    "POST /v1/events HTTP/1.1\r\nHost: a, b\r\nContent-Length: 2\r\n\r\n{}",
    "POST /v1/events HTTP/1.1\r\nHost: u@a\r\nContent-Length: 2\r\n\r\n{}",
    "POST /v1/events HTTP/1.1\r\nHost: a/v1\r\nContent-Length: 2\r\n\r\n{}",
    "POST http://a/v1/events HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}",
    "POST http://b/v1/events HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}",
    "POST a:80 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}",
    // What it asks for.
    "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n",
    "TRACE /v1/events HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST /v1/events HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\n{}",
    "POST /v1/events HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\n{}",
    "P@ST /v1/events HTTP/1.1\r\nHost: a\r\n\r\n",
    "P(ST /v1/events HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST  /v1/events HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST /v1/events HTTP/1.2\r\nHost: a\r\n\r\n",
    "POST /v1/events HTTX/1.1\r\nHost: a\r\n\r\n",
    "POST /v1/events\r\nHost: a\r\n\r\n",
    "POST /v1/ev ents HTTP/1.1\r\nHost: a\r\n\r\n",
    "{\"event\":\"sent\"}\r\n\r\n",
    "\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n",
];

#[tokio::test]
async fn a_request_that_could_be_read_in_two_ways_is_refused_and_its_connection_closed() {
    let house = house().await;
    for vector in VECTORS {
        let mut client = house.connect().await;
        // Behind it comes a request that nobody may answer.
        client.send(format!("{vector}{}", post("", EVENT))).await;
        let reply = client.reply().await;
        assert_eq!(reply.status, 400, "{vector:?}: {reply:?}");
        assert_eq!(reply.problem(), "bad-request", "{vector:?}");
        assert_eq!(reply.header("connection"), Some("close"), "{vector:?}");
        assert!(client.is_closed().await, "{vector:?} leaves its connection open");
    }
    assert!(house.events().is_empty());
}

#[tokio::test]
async fn the_same_is_refused_behind_a_good_request_and_piece_by_piece() {
    let house = house().await;
    for vector in VECTORS {
        let mut client = house.connect().await;
        client.send(post("", EVENT)).await;
        assert_eq!(client.reply().await.status, 202);
        client.send([post("", EVENT).as_bytes(), vector.as_bytes()].concat()).await;
        assert_eq!(client.reply().await.status, 202, "{vector:?}");
        assert_eq!(client.reply().await.status, 400, "{vector:?}");
        assert!(client.is_closed().await, "{vector:?}");
    }
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused_with_a_document() {
    let house = house().await;
    let many: String = (0..101).map(|number| format!("x-{number}: y\r\n")).collect();
    let large = format!("X: {}\r\n", "y".repeat(100_000));
    for headers in [many, large] {
        let mut client = house.connect().await;
        client.send(format!("POST /v1/events HTTP/1.1\r\nHost: a\r\n{headers}\r\n")).await;
        let reply = client.reply().await;
        assert_eq!((reply.status, reply.problem().as_str()), (431, "head-too-large"));
        assert!(client.is_closed().await);
    }
    let reply = house.raw(format!("POST /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(65_500))).await;
    assert!([404, 414, 431].contains(&reply.status), "{reply:?}");
    reply.problem();
}

#[tokio::test]
async fn a_client_that_takes_http_2_for_granted_is_told_what_is_spoken() {
    let house = house().await;
    let mut client = house.connect().await;
    client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
    let reply = client.reply().await;
    assert_eq!((reply.status, reply.problem().as_str()), (400, "bad-request"));
    assert!(reply.body.contains("HTTP/1.1"), "{reply:?}");
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn a_body_announced_as_endless_is_too_large_and_its_head_is_not() {
    let house = house().await;
    for length in [u64::MAX, u64::MAX - 1, u64::MAX - 2, 1 << 63] {
        let head = "POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n";
        let mut client = house.connect().await;
        client.send(format!("{head}Content-Length: {length}\r\n\r\n")).await;
        let reply = client.reply().await;
        assert_eq!((reply.status, reply.problem().as_str()), (413, "too-large"), "{length}");
        assert!(client.is_closed().await);
    }
}

#[tokio::test]
async fn a_connection_that_sends_nothing_sensible_never_reaches_the_router() {
    let house = house().await;
    for bytes in
        [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(), &[0xff; 200_000], b"\r\n\r\n\r\n\n\n\n\r\n\0"]
    {
        let mut client = house.connect().await;
        client.send(bytes).await;
        drop(client);
    }
    assert_eq!(house.post("", EVENT).await.status, 202);
    assert_eq!(house.events().len(), 1);
}
