//! Endpoints that have no version to run.

use super::*;
use crate::spool::Append;

#[tokio::test]
async fn what_is_stored_for_one_of_many_endpoints_after_its_file_went_is_held_until_it_is_back() {
    // So many that one at rest is not in use, and nobody notices that it goes.
    let names: Vec<&'static str> = (0..502).map(|n| &*Box::leak(format!("e{n}").into_boxed_str())).collect();
    let mut house = house(&names).await;
    let table = house.router.table();
    let uid = table.named("e500").expect("there").uid;
    let all: Vec<_> = table.entries().iter().map(|entry| Arc::clone(&entry.spec)).collect();
    let publish = async |endpoints: Vec<Arc<EndpointSpec>>| {
        let publication = Publication { daemon: Arc::clone(&house.daemon), endpoints, invalid: Vec::new() };
        house.router.publish(publication).await.unwrap();
    };
    publish(all.iter().filter(|spec| &*spec.identity.name != "e500").cloned().collect()).await;
    // It had been matched before, and is stored only now.
    let (reply, receipt) = oneshot::channel();
    let late = NewEvent { targets: vec![uid], generation: table.generation, ..event("late") };
    house.spool.append(Append { events: vec![late], reply, permit: None });
    receipt.await.unwrap().unwrap();
    let in_use = async {
        while !house.router.directory().has_name("e500") {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), in_use).await.expect("it is not forgotten");
    let (_, observed) = house.router.directory().list().remove(0);
    assert_eq!((&*observed.identity.name, observed.shared.condition()), ("e500", Condition::Removed));
    publish(all).await;
    assert_eq!(house.seen(1).await, [("e500", "late".to_owned())]);
    house.stop().await;
}
