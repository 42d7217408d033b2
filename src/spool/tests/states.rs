//! What an endpoint remembers, said at the wrong moment.

use super::hand::Hand;
use super::*;
use crate::spool::{Disk, EndpointState, SystemDisk, faults};
use std::fs::File;
use std::io::{self, ErrorKind};

type Then = Mutex<Option<Box<dyn FnOnce() + Send>>>;

/// A disk in the middle of whose next write or sync something happens.
#[derive(Default)]
struct Between {
    write: Then,
    sync: Then,
}

fn happen(then: &Then) {
    let then = then.lock().unwrap().take();
    if let Some(then) = then {
        then();
    }
}

impl Disk for Between {
    fn write(&self, file: &File, path: &Path, bytes: &[u8], at: u64) -> io::Result<()> {
        happen(&self.write);
        SystemDisk.write(file, path, bytes, at)
    }

    fn sync(&self, file: &File, path: &Path) -> io::Result<()> {
        happen(&self.sync);
        SystemDisk.sync(file, path)
    }
}

fn gone() -> EndpointState {
    EndpointState { suspended: Some((5, 6)), ..EndpointState::default() }
}

/// Says that the destination of A is gone.
fn says_gone(hand: &Hand) -> Box<dyn FnOnce() + Send> {
    let spool = Arc::clone(&hand.spool);
    Box::new(move || spool.put_endpoint_state(A, gone()))
}

#[tokio::test]
async fn what_an_endpoint_remembers_is_not_undone_by_the_commit_being_made() {
    let disk = Arc::new(Between::default());
    let mut hand = Hand::on(disk.clone(), |_| {});
    hand.append(vec![event("m1", &[A])]).await;
    let lease = hand.lease(A).await;
    let seq = hand.all(&lease).await[0].event.seq;
    *disk.write.lock().unwrap() = Some(says_gone(&hand));
    hand.settle(&lease, seq, Ok(()));
    assert!(disk.write.lock().unwrap().is_none(), "it was said in the middle of the commit");
    assert_eq!(hand.spool.endpoint_state(A), gone());

    let waits = EndpointState { wait_until_ms: Some(7), wait_ms: 8, ..hand.spool.endpoint_state(A) };
    hand.spool.put_endpoint_state(A, waits);
    hand.turn();
    assert_eq!(hand.reopen().spool.endpoint_state(A), EndpointState { suspended: Some((5, 6)), ..waits });
}

#[tokio::test]
async fn what_an_endpoint_remembers_is_not_undone_by_a_store_that_recovers() {
    let disk = Arc::new(Between::default());
    let mut hand = Hand::on(disk.clone(), |_| {});
    hand.append(vec![event("m1", &[A])]).await;
    faults::inject(&hand.config.path, 1, ErrorKind::Other);
    *disk.sync.lock().unwrap() = Some(says_gone(&hand));
    let refused = hand.submit(vec![event("m2", &[A])]);
    hand.turn();
    assert!(refused.await.unwrap().is_err());
    assert!(disk.sync.lock().unwrap().is_none(), "it was said while the store was opened again");
    assert_eq!((hand.spool.endpoint_state(A), hand.counts(A).0), (gone(), 1));
    hand.turn();
    assert_eq!(hand.reopen().spool.endpoint_state(A), gone());
}
