use super::*;

fn policy(allow: &[&str]) -> NetworkPolicy {
    NetworkPolicy { allow: allow.iter().map(|it| it.parse().unwrap()).collect(), exceptions: Vec::new() }
}

fn judged(address: &str, allow: &[&str]) -> Result<(), String> {
    judge(address.parse().unwrap(), &policy(allow), "acme").map_err(|refusal| refusal.to_string())
}

#[test]
fn public_addresses_pass() {
    for address in [
        "1.1.1.1",
        "8.8.8.8",
        "9.255.255.255",
        "11.0.0.1",
        "100.63.255.255",
        "100.128.0.1",
        "126.255.255.255",
        "128.0.0.1",
        "169.253.255.255",
        "169.255.0.1",
        "172.15.255.255",
        "172.32.0.1",
        "191.255.255.255",
        "192.0.1.1",
        "192.167.255.255",
        "192.169.0.1",
        "198.17.255.255",
        "198.20.0.1",
        "223.255.255.255",
        "2606:4700:4700::1111",
        "2001:4860:4860::8888",
        "2a00:1450:4001:800::200e",
        "::ffff:8.8.8.8",
    ] {
        assert_eq!(judged(address, &[]), Ok(()), "{address}");
    }
}

#[test]
fn what_is_not_globally_reachable_is_refused_at_both_ends_of_its_range() {
    for address in [
        "0.0.0.0",
        "0.255.255.255",
        "10.0.0.0",
        "10.255.255.255",
        "100.64.0.0",
        "100.127.255.255",
        "127.0.0.0",
        "127.255.255.255",
        "169.254.0.0",
        "169.254.255.255",
        "172.16.0.0",
        "172.31.255.255",
        "192.0.0.0",
        "192.0.0.255",
        "192.0.2.0",
        "192.0.2.255",
        "192.88.99.1",
        "192.168.0.0",
        "192.168.255.255",
        "198.18.0.0",
        "198.19.255.255",
        "198.51.100.7",
        "203.0.113.7",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.0",
        "255.255.255.255",
        "::",
        "::1",
        "::2",
        "::7f00:1",
        "::ffff:0:0",
        "::ffff:10.0.0.1",
        "::ffff:0:8.8.8.8",
        "64:ff9b::808:808",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:1ff:ffff::1",
        "2001:db8::1",
        "2002:808:808::1",
        "3fff::1",
        "3fff:fff::1",
        "5f00::1",
        "4000::1",
        "fc00::1",
        "fdff:ffff::1",
        "fe80::1",
        "febf::1",
        "fec0::1",
        "ff02::1",
        "ff0e::1",
        "1::1",
        "e000::1",
    ] {
        assert!(judged(address, &[]).is_err(), "{address}");
    }
}

#[test]
fn a_refusal_says_which_line_would_allow_the_address() {
    assert_eq!(
        judged("10.0.0.5", &[]).unwrap_err(),
        "10.0.0.5 is a private address; to allow it: network.allow = [\"10.0.0.0/8\"] in postrider.toml"
    );
    assert_eq!(
        judged("::ffff:127.0.0.1", &[]).unwrap_err(),
        "::ffff:127.0.0.1 leads to 127.0.0.1, which is a loopback address; to allow it: network.allow = \
         [\"127.0.0.0/8\"] in postrider.toml"
    );
    assert_eq!(
        judged("169.254.169.254", &[]).unwrap_err(),
        "169.254.169.254 is the address of a cloud's metadata service, which is never allowed"
    );
}

#[test]
fn an_allowed_range_is_reached_and_nothing_beside_it() {
    assert_eq!(judged("10.1.2.3", &["10.1.0.0/16"]), Ok(()));
    assert_eq!(judged("::ffff:10.1.2.3", &["10.1.0.0/16"]), Ok(()));
    assert_eq!(judged("fd12::1", &["fd12::/16"]), Ok(()));
    assert!(judged("10.2.2.3", &["10.1.0.0/16"]).is_err());
}

#[test]
fn an_exception_is_for_its_endpoint_alone() {
    let range = "10.1.0.0/16".parse().unwrap();
    let policy = NetworkPolicy { allow: Vec::new(), exceptions: vec![("acme".into(), range)] };
    let address = "10.1.2.3".parse().unwrap();
    assert_eq!(judge(address, &policy, "acme"), Ok(()));
    assert!(judge(address, &policy, "acme-2").is_err());
}

#[test]
fn metadata_services_and_the_unspecified_address_are_refused_whatever_is_allowed() {
    let everything = ["0.0.0.0/0", "::/0"];
    for address in [
        "169.254.169.254",
        "169.254.170.2",
        "169.254.170.23",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd20:ce::254",
        "fe80::a9fe:a9fe",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "2001:0:a9fe:a9fe::1",
        "2001::5601:5601",
        "::a9fe:a9fe",
        "0.0.0.0",
        "::",
        "::ffff:0.0.0.0",
        "64:ff9b::",
    ] {
        assert!(judged(address, &everything).is_err(), "{address}");
    }
}

#[test]
fn an_allowed_translation_prefix_does_not_allow_the_private_address_inside() {
    assert_eq!(judged("64:ff9b::808:808", &["64:ff9b::/96"]), Ok(()));
    assert!(judged("64:ff9b::a00:1", &["64:ff9b::/96"]).is_err());
    assert!(judged("64:ff9b::a00:1", &["10.0.0.0/8"]).is_err());
    assert_eq!(judged("64:ff9b::a00:1", &["64:ff9b::/96", "10.0.0.0/8"]), Ok(()));
    assert!(judged("2002:7f00:1::1", &["2002::/16"]).is_err());
    // Teredo: client 127.0.0.1, every bit turned over.
    assert!(judged("2001:0:808:808::80ff:fffe", &["2001::/32"]).is_err());
    assert_eq!(judged("2001:0:808:808::f7f7:f7f7", &["2001::/32"]), Ok(()));
    assert!(judged("::ffff:0:10.0.0.1", &["::ffff:0:0:0/96"]).is_err());
    assert_eq!(judged("::ffff:0:8.8.8.8", &["::ffff:0:0:0/96"]), Ok(()));
    for private in ["64:ff9b:1::a00:1", "64:ff9b:1:fffe::a9fe:a9fe", "64:ff9b:1:a9fe:a9:fe00::"] {
        assert!(judged(private, &["64:ff9b:1::/48"]).is_err(), "{private}");
    }
    for public in ["64:ff9b:1::808:808", "64:ff9b:1:808:8:800::"] {
        assert_eq!(judged(public, &["64:ff9b:1::/48"]), Ok(()), "{public}");
    }
}
