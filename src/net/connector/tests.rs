use super::*;
use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use url::{Host, Url};

/// A resolver with fixed names, where one name may answer differently each time.
#[derive(Default)]
struct Book {
    names: HashMap<&'static str, Vec<Vec<IpAddr>>>,
    asked: AtomicUsize,
}

#[async_trait]
impl Resolve for Book {
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let nth = self.asked.fetch_add(1, Ordering::SeqCst);
        match self.names.get(host) {
            Some(answers) => Ok(answers[nth % answers.len()].clone()),
            None => Err(io::Error::other("not in the book")),
        }
    }
}

/// Dials nothing and remembers what it should have dialled.
#[derive(Default)]
struct Recorder {
    dialled: Mutex<Vec<SocketAddr>>,
    refuse: Vec<SocketAddr>,
    hang: Vec<SocketAddr>,
    /// Addresses of this machine.
    local: Vec<IpAddr>,
    elsewhere: bool,
}

#[async_trait]
impl Dial for Recorder {
    async fn dial(&self, address: SocketAddr) -> io::Result<Dialed> {
        self.dialled.lock().unwrap().push(address);
        if self.refuse.contains(&address) {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        if self.hang.contains(&address) {
            std::future::pending::<()>().await;
        }
        let peer = if self.elsewhere { "127.0.0.1:80".parse().unwrap() } else { address };
        let (connection, _) = tokio::io::duplex(64);
        Ok(Dialed { connection: Box::new(connection), peer, local: "192.0.2.1:50000".parse().unwrap() })
    }

    fn is_local(&self, address: IpAddr) -> bool {
        self.local.contains(&address)
    }
}

fn ips(list: &[&str]) -> Vec<IpAddr> {
    list.iter().map(|it| it.parse().unwrap()).collect()
}

fn allow(ranges: &[&str]) -> NetworkPolicy {
    NetworkPolicy { allow: ranges.iter().map(|it| it.parse().unwrap()).collect(), exceptions: Vec::new() }
}

fn network(names: &[(&'static str, &[&[&str]])], policy: NetworkPolicy) -> (Arc<Network>, Arc<Recorder>) {
    with(names, policy, Recorder::default())
}

fn with(
    names: &[(&'static str, &[&[&str]])],
    policy: NetworkPolicy,
    recorder: Recorder,
) -> (Arc<Network>, Arc<Recorder>) {
    let names = names.iter().map(|(name, sets)| (*name, sets.iter().map(|set| ips(set)).collect())).collect();
    let recorder = Arc::new(recorder);
    let own = vec!["127.0.0.1:8080".parse().unwrap(), "[::]:8081".parse().unwrap()];
    let book = Arc::new(Book { names, asked: AtomicUsize::new(0) });
    (Network::with_dial(policy, own, book, recorder.clone()), recorder)
}

/// Connects as the HTTP sink does: the URL is parsed once, and its host goes to the connector.
async fn connect(network: &Arc<Network>, url: &str) -> Result<(), ConnectError> {
    let url = Url::parse(url).unwrap_or_else(|error| panic!("{url}: {error}"));
    let host = match url.host().unwrap() {
        Host::Domain(name) => name.to_owned(),
        Host::Ipv4(address) => address.to_string(),
        Host::Ipv6(address) => address.to_string(),
    };
    let port = url.port_or_known_default().unwrap();
    network.connector("acme").connect(&host, port, &Trail::default()).await.map(drop)
}

/// Hosts as they stand in a URL that must lead nowhere, however they are written.
const DISGUISED: [&str; 92] = [
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "127.0.0.1.",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "0x7f.0.0.1",
    "0X7F.0x0.0x0.0x1",
    "0177.0.0.1",
    "0177.1",
    "017700000001",
    "127.0.0.01",
    "127.0x0.0.1",
    "127.200.3.4",
    "127.255.255.254",
    "１２７.０.０.１",
    "127。0。0。1",
    "127．0．0．1",
    "①②⑦.⓪.⓪.①",
    "%31%32%37.0.0.1",
    "127%2e0%2e0%2e1",
    "0",
    "0.0.0.0",
    "0x0",
    "00.00.00.00",
    "0.0.0.1",
    "10.0.0.1",
    "10.1",
    "167772161",
    "0xa000001",
    "012.0.0.1",
    "172.16.0.1",
    "172.31.255.254",
    "0xac100001",
    "192.168.0.1",
    "192.168.1",
    "3232235521",
    "0xc0a80001",
    "0300.0250.0.1",
    "169.254.169.254",
    "2852039166",
    "0xa9fea9fe",
    "0251.0376.0251.0376",
    "169.254.43518",
    "169.254.170.2",
    "169.254.1.1",
    "100.64.0.1",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.1",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "255.255.255.255",
    "4294967295",
    "240.0.0.1",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[0000:0000:0000:0000:0000:0000:0000:0001]",
    "[::]",
    "[::127.0.0.1]",
    "[::7f00:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::ffff:0.0.0.0]",
    "[::ffff:10.0.0.1]",
    "[::ffff:192.168.0.1]",
    "[::ffff:169.254.169.254]",
    "[::FFFF:A9FE:A9FE]",
    "[::ffff:0:127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b::a9fe:a9fe]",
    "[64:ff9b:1::7f00:1]",
    "[2002:7f00:1::]",
    "[2002:a00:1::1]",
    "[2001:0:7f00:1::]",
    "[2001:db8::1]",
    "[100::1]",
    "[3fff::1]",
    "[fc00::1]",
    "[fd00:ec2::254]",
    "[fd12:3456::1]",
    "[fe80::1]",
    "[fe80::a9fe:a9fe]",
    "[fec0::1]",
    "[ff02::1]",
];

/// What a name may resolve to that refuses it: one such address among others is enough.
const POISONED: [&[&str]; 40] = [
    &["127.0.0.1"],
    &["127.0.0.1", "8.8.8.8"],
    &["8.8.8.8", "127.0.0.1"],
    &["8.8.8.8", "1.1.1.1", "10.0.0.1"],
    &["8.8.8.8", "::1"],
    &["2606:4700::1", "fe80::1"],
    &["2606:4700::1", "fc00::1"],
    &["2606:4700::1", "10.0.0.1"],
    &["::ffff:127.0.0.1"],
    &["8.8.8.8", "::ffff:127.0.0.1"],
    &["8.8.8.8", "::ffff:0.0.0.0"],
    &["64:ff9b::7f00:1"],
    &["8.8.8.8", "64:ff9b::7f00:1"],
    &["8.8.8.8", "64:ff9b::808:808"],
    &["2002:7f00:1::"],
    &["8.8.8.8", "2002:7f00:1::"],
    &["2001::1"],
    &["::"],
    &["0.0.0.0"],
    &["8.8.8.8", "0.0.0.0"],
    &["::7f00:1"],
    &["8.8.8.8", "169.254.169.254"],
    &["169.254.169.254"],
    &["fd00:ec2::254"],
    &["8.8.8.8", "fd00:ec2::254"],
    &["8.8.8.8", "100.100.100.200"],
    &["168.63.129.16"],
    &["192.168.1.1", "192.168.1.2"],
    &["172.20.0.1"],
    &["100.64.0.1"],
    &["198.18.0.1"],
    &["203.0.113.1"],
    &["192.0.2.1"],
    &["198.51.100.1"],
    &["224.0.0.1"],
    &["255.255.255.255"],
    &["ff02::1"],
    &["fec0::1"],
    &["2001:db8::1"],
    &["8.8.8.8", "2606:4700::1", "3fff::1"],
];

#[tokio::test]
async fn no_spelling_of_a_refused_address_is_ever_dialled() {
    let (network, recorder) = network(&[], NetworkPolicy::default());
    for host in DISGUISED {
        for scheme in ["http", "https"] {
            let url = format!("{scheme}://{host}:8443/hook");
            let error = connect(&network, &url).await.expect_err(&url);
            assert_eq!(error.kind, ConnectErrorKind::Blocked, "{url}: {error}");
            assert_eq!(*recorder.dialled.lock().unwrap(), [], "{url}");
        }
    }
}

/// One name as URLs may spell it, and the form that is looked up.
const SPELLED: [(&str, &str); 14] = [
    ("https://hooks.example/in", "hooks.example"),
    ("http://hooks.example/in", "hooks.example"),
    ("https://hooks.example:8443/", "hooks.example"),
    ("HTTPS://HOOKS.EXAMPLE/", "hooks.example"),
    ("https://hooks.example.:443/", "hooks.example."),
    ("https://%68ooks.example/?to=8.8.8.8", "hooks.example"),
    ("https://ｈｏｏｋｓ.example/", "hooks.example"),
    ("https://hooks。example/", "hooks.example"),
    ("https://8.8.8.8.hooks.example/8.8.8.8", "8.8.8.8.hooks.example"),
    ("https://bücher.example/", "xn--bcher-kva.example"),
    ("https://xn--bcher-kva.example/", "xn--bcher-kva.example"),
    ("https://a_b.hooks.example/", "a_b.hooks.example"),
    ("https:\\\\hooks.example\\in", "hooks.example"),
    ("https://\thooks.exa\nmple/", "hooks.example"),
];

#[tokio::test]
async fn one_refused_address_among_those_of_a_name_refuses_the_name_however_it_is_spelled() {
    let mut cases = 0;
    for (url, name) in SPELLED {
        for set in POISONED {
            let (network, recorder) = network(&[(name, &[set])], NetworkPolicy::default());
            let error = connect(&network, url).await.expect_err("refused");
            assert_eq!(error.kind, ConnectErrorKind::Blocked, "{url} {set:?}: {error}");
            assert!(error.message.starts_with(&format!("{name} has the address ")), "{error}");
            assert_eq!(*recorder.dialled.lock().unwrap(), [], "{url} {set:?}");
            cases += 1;
        }
        // The same name with a public address is dialled: it was not the spelling that refused it.
        let (network, recorder) = network(&[(name, &[&["8.8.8.8", "9.9.9.9"]])], NetworkPolicy::default());
        connect(&network, url).await.unwrap_or_else(|error| panic!("{url}: {error}"));
        assert_eq!(recorder.dialled.lock().unwrap()[0].ip(), IpAddr::from([8, 8, 8, 8]), "{url}");
    }
    assert!(cases >= 500, "{cases}");
}

#[tokio::test]
async fn a_refused_address_refuses_at_every_place_of_a_long_answer() {
    let public: Vec<String> = (0..40).map(|n| format!("9.9.{n}.1")).collect();
    for place in 0..=public.len() {
        let mut set: Vec<&str> = public.iter().map(String::as_str).collect();
        set.insert(place, "10.0.0.1");
        let names = HashMap::from([("hooks.example", vec![ips(&set)])]);
        let (book, recorder) = (Book { names, ..Book::default() }, Arc::new(Recorder::default()));
        let network =
            Network::with_dial(NetworkPolicy::default(), Vec::new(), Arc::new(book), recorder.clone());
        let error = connect(&network, "https://hooks.example/").await.unwrap_err();
        assert_eq!(error.kind, ConnectErrorKind::Blocked, "{place}");
        assert_eq!(*recorder.dialled.lock().unwrap(), [], "{place}");
    }
}

#[tokio::test]
async fn a_proxy_is_told_checked_addresses_only() {
    let names: [(&str, &[&[&str]]); 2] =
        [("good.example", &[&["8.8.8.8", "::ffff:9.9.9.9"]]), ("bad.example", &[&["8.8.8.8", "10.0.0.1"]])];
    let (network, recorder) = network(&names, NetworkPolicy::default());
    let connector = network.connector("acme");
    let good = connector.addresses("good.example", 443, &Trail::default()).await.unwrap();
    assert_eq!(good, ips(&["8.8.8.8", "9.9.9.9"]));
    for host in ["bad.example", "127.0.0.1", "::ffff:7f00:1"] {
        let error = connector.addresses(host, 443, &Trail::default()).await.unwrap_err();
        assert_eq!(error.kind, ConnectErrorKind::Blocked, "{host}");
    }
    assert_eq!(*recorder.dialled.lock().unwrap(), []);
}

#[tokio::test]
async fn what_reads_like_a_name_is_judged_by_what_it_resolves_to() {
    let names: [(&str, &[&[&str]]); 6] = [
        ("localhost", &[&["127.0.0.1"]]),
        ("localhost.", &[&["::1"]]),
        ("127.0.0.1.nip.example", &[&["127.0.0.1"]]),
        ("metadata.google.internal", &[&["169.254.169.254"]]),
        ("xn--loopback.example", &[&["127.0.0.1"]]),
        ("router.home", &[&["192.168.0.1"]]),
    ];
    for (name, _) in names {
        let (network, recorder) = network(&names, NetworkPolicy::default());
        let connector = network.connector("acme");
        let error = connector.connect(name, 443, &Trail::default()).await.map(drop).unwrap_err();
        assert_eq!(error.kind, ConnectErrorKind::Blocked, "{name}: {error}");
        assert_eq!(*recorder.dialled.lock().unwrap(), [], "{name}");
    }
}

#[tokio::test]
async fn a_public_name_is_dialled_at_the_address_that_was_checked() {
    let (network, recorder) =
        network(&[("hooks.example", &[&["8.8.8.8", "2606:4700::1"]])], NetworkPolicy::default());
    connect(&network, "https://hooks.example/in").await.unwrap();
    connect(&network, "http://9.9.9.9:8080/").await.unwrap();
    connect(&network, "https://[2606:4700::2]/").await.unwrap();
    connect(&network, "https://[::ffff:9.9.9.9]/").await.unwrap();
    let wanted = ["8.8.8.8:443", "9.9.9.9:8080", "[2606:4700::2]:443", "9.9.9.9:443"];
    assert_eq!(*recorder.dialled.lock().unwrap(), wanted.map(|at| at.parse().unwrap()));
}

#[tokio::test(start_paused = true)]
async fn a_name_that_flips_with_every_query_is_never_dialled_where_it_is_refused() {
    const QUERIES: usize = 10_000;
    let bad: [&[&str]; 4] =
        [&["127.0.0.1"], &["8.8.8.8", "169.254.169.254"], &["::ffff:10.0.0.1"], &["fd00::1"]];
    let sets: Vec<&[&str]> = bad.into_iter().flat_map(|bad| [&["8.8.8.8"], bad]).collect();
    let (network, recorder) = network(&[("flip.example", &sets)], NetworkPolicy::default());
    for round in 0..QUERIES {
        let result = connect(&network, "https://flip.example/").await;
        assert_eq!(result.is_ok(), round % 2 == 0, "{round}: {result:?}");
        tokio::time::advance(Duration::from_secs(6)).await;
    }
    let dialled = recorder.dialled.lock().unwrap();
    assert_eq!(dialled.len(), QUERIES / 2);
    assert!(dialled.iter().all(|at| *at == "8.8.8.8:443".parse().unwrap()));
}

#[tokio::test]
async fn an_allowed_range_opens_at_once_and_starts_a_new_epoch_once() {
    let (network, recorder) = network(&[], NetworkPolicy::default());
    let connector = network.connector("acme");
    let before = connector.policy_epoch();
    assert!(connect(&network, "http://127.0.0.1:9000/").await.is_err());
    network.set_policy(allow(&["127.0.0.0/8"]));
    assert_ne!(connector.policy_epoch(), before);
    connect(&network, "http://127.0.0.1:9000/").await.unwrap();
    assert_eq!(recorder.dialled.lock().unwrap().len(), 1);
    let now = connector.policy_epoch();
    network.set_policy(allow(&["127.0.0.0/8"]));
    assert_eq!(connector.policy_epoch(), now);
}

#[tokio::test]
async fn the_daemon_never_sends_to_its_own_listeners() {
    let recorder = Recorder { local: ips(&["10.0.0.1", "fd00::1"]), ..Recorder::default() };
    let (network, recorder) = with(&[], allow(&["0.0.0.0/0", "::/0"]), recorder);
    for url in [
        "http://127.0.0.1:8080/",
        "http://[::ffff:127.0.0.1]:8080/",
        "http://127.0.0.1:8081/",
        "http://127.9.9.9:8081/",
        "http://[::1]:8081/",
        "http://10.0.0.1:8081/",
        "http://[::ffff:10.0.0.1]:8081/",
        "http://[fd00::1]:8081/",
    ] {
        let error = connect(&network, url).await.expect_err(url);
        assert_eq!(error.kind, ConnectErrorKind::Blocked, "{url}");
        assert!(error.message.contains("this daemon itself"), "{error}");
    }
    assert_eq!(*recorder.dialled.lock().unwrap(), []);
    for url in ["http://127.0.0.1:8082/", "http://10.0.0.1:8080/", "http://10.0.0.2:8081/"] {
        connect(&network, url).await.unwrap();
    }
}

#[tokio::test]
async fn a_listener_on_every_address_is_not_reached_over_the_address_of_this_machine() {
    let listener = tokio::net::TcpListener::bind("0.0.0.0:0").await.unwrap();
    let own = listener.local_addr().unwrap();
    let dialed = TcpDial.dial(SocketAddr::new([127, 0, 0, 1].into(), own.port())).await.unwrap();
    let book = Arc::new(Book::default());
    let network = Network::new(NetworkPolicy::default(), vec![own], book.clone());
    assert!(
        network.is_own_connection(&dialed) && network.is_own(SocketAddr::from(([127, 0, 0, 1], own.port())))
    );
    assert!(TcpDial.is_local([127, 0, 0, 1].into()) && !TcpDial.is_local([8, 8, 8, 8].into()));
    let other = Network::new(NetworkPolicy::default(), vec!["0.0.0.0:1".parse().unwrap()], book);
    assert!(!other.is_own_connection(&dialed));
}

#[tokio::test(start_paused = true)]
async fn addresses_are_tried_in_order_until_one_answers() {
    let names: [(&str, &[&[&str]]); 1] = [("h.example", &[&["2606:4700::1", "8.8.8.8", "9.9.9.9"]])];
    let recorder = Recorder {
        hang: vec!["[2606:4700::1]:443".parse().unwrap()],
        refuse: vec!["8.8.8.8:443".parse().unwrap()],
        ..Recorder::default()
    };
    let (network, recorder) = with(&names, NetworkPolicy::default(), recorder);
    connect(&network, "https://h.example/").await.unwrap();
    assert_eq!(recorder.dialled.lock().unwrap().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_failure_says_at_which_step() {
    let recorder = Recorder {
        hang: vec!["9.9.9.9:443".parse().unwrap()],
        refuse: vec!["8.8.8.8:443".parse().unwrap()],
        ..Recorder::default()
    };
    let (network, _) = with(&[], NetworkPolicy::default(), recorder);
    let kind = async |url| connect(&network, url).await.unwrap_err();
    let refused = kind("https://8.8.8.8/").await;
    assert_eq!(
        (refused.kind, &*refused.message),
        (ConnectErrorKind::Connect, "connection refused at 8.8.8.8:443")
    );
    assert_eq!(kind("https://9.9.9.9/").await.kind, ConnectErrorKind::Timeout);
    assert_eq!(kind("https://nowhere.example/").await.kind, ConnectErrorKind::Dns);
}

#[tokio::test]
async fn a_connection_that_ended_up_elsewhere_is_not_used() {
    let recorder = Recorder { elsewhere: true, ..Recorder::default() };
    let (network, _) = with(&[], NetworkPolicy::default(), recorder);
    let error = connect(&network, "https://8.8.8.8/").await.unwrap_err();
    assert_eq!(error.kind, ConnectErrorKind::Blocked);
}

#[tokio::test]
async fn the_resolver_of_this_machine_knows_localhost_and_reads_disguised_numbers() {
    let resolver = crate::net::SystemResolver::new();
    let found = resolver.resolve("localhost").await.unwrap();
    assert!(!found.is_empty() && found.iter().all(IpAddr::is_loopback), "{found:?}");
    // Handed over without a URL parser in between, such a host still does not get past the judgement.
    let network = Network::new(NetworkPolicy::default(), Vec::new(), Arc::new(resolver));
    for host in ["2130706433", "0x7f.1", "0177.0.0.1", "127.1"] {
        let result = network.connector("acme").connect(host, 80, &Trail::default()).await;
        assert_eq!(result.map(drop).unwrap_err().kind, ConnectErrorKind::Blocked, "{host}");
    }
}
