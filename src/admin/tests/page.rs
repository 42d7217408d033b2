//! The page where nobody is signed in, and what it keeps from those who are.

use super::*;
use crate::metrics::Traffic;
use crate::reload::Change;

struct Facts;

#[async_trait]
impl PageBackend for Facts {
    fn now_ms(&self) -> u64 {
        0
    }

    fn traffic(&self) -> Traffic {
        Traffic::default()
    }

    fn letters(&self, account: Option<&str>) -> u64 {
        if account.is_some() { 7 } else { 41 }
    }

    fn catalogue(&self) -> (Vec<String>, Vec<String>) {
        (vec!["sent".to_owned()], vec!["crm".to_owned()])
    }

    async fn reloads(&self) -> Vec<Change> {
        Vec::new()
    }

    fn endpoints_folder(&self) -> String {
        "/etc/postrider/endpoints".to_owned()
    }
}

const PERSON: &str =
    "host: HOST\r\nsec-fetch-site: same-origin\r\norigin: http://HOST\r\naccept: text/html,*/*\r\n";

#[tokio::test]
async fn a_form_of_somebody_whose_session_is_over_is_answered_with_a_page_that_leads_back() {
    let served = served(with_logins()).await;
    let form = format!(
        "{PERSON}content-type: application/x-www-form-urlencoded\r\ncookie: postrider_session=old\r\n"
    );
    for path in ["/endpoints/acme", "/dead-letters", "/new", "/logout"] {
        let (status, text) = served.post(path, &form, "action=save").await;
        assert_eq!(status, 401, "{path}: {text}");
        assert!(text.contains("content-type: text/html") && text.contains("href=\"/login\""), "{text}");
        // A question of the browser's own would only be in the way.
        assert!(!text.to_ascii_lowercase().contains("www-authenticate"), "{text}");
        assert!(
            text.contains("cache-control: no-store") && text.contains("frame-ancestors 'none'"),
            "{text}"
        );
    }
    // Programs are told as before, and a screen leads there by itself.
    let (status, text) = served.post("/endpoints/acme", "host: HOST\r\n", "").await;
    assert!(status == 401 && text.contains("application/problem+json"), "{text}");
    let (status, text) = served.post("/api/v1/test", &form, "").await;
    assert!(status == 401 && text.contains("application/problem+json"), "{text}");
    let get = format!("GET /endpoints/acme HTTP/1.1\r\nconnection: close\r\n{PERSON}\r\n");
    let (status, text) = served.ask(&get).await;
    assert!(status == 303 && text.contains("location: /login?next=%2Fendpoints%2Facme\r\n"), "{text}");
}

#[tokio::test]
async fn a_customer_hears_that_no_events_are_taken_and_not_what_is_wrong_with_the_machine() {
    let backend = Fake { page: Some(Arc::new(Facts)), ..with_logins() };
    *backend.unready.lock().unwrap() = Some("no space left in /var/lib/postrider".to_owned());
    let served = served(backend).await;
    let get = async |who: &str| {
        let request = format!("GET / HTTP/1.1\r\nhost: HOST\r\nconnection: close\r\n{who}\r\n");
        let (status, text) = served.ask(&request).await;
        assert_eq!(status, 200, "{text}");
        text
    };
    let (operator, customer) = (get(ANNA).await, get(ACME).await);
    assert!(
        operator.contains("/var/lib/postrider") && operator.contains("id=\"dead-count\">41<"),
        "{operator}"
    );
    assert!(
        customer.contains("No events are taken now") && customer.contains("id=\"dead-count\">7<"),
        "{customer}"
    );
    assert!(!customer.contains("/var/lib"), "{customer}");
}
