//! The thread that listens to other processes.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::engine::host::Host;
use crate::engine::parts;
use crate::store::{Call, Listener, StoreError};
use crate::telemetry::Trouble;

/// The pause after a failure; meanwhile everybody polls.
const PAUSE: Duration = Duration::from_millis(500);

/// Listens on a thread of its own, until the engine is over or gone; `None` where there is nothing to hear.
pub fn listen(host: &Arc<Host>) -> std::io::Result<Option<JoinHandle<()>>> {
    if !host.store.capabilities().hears {
        return Ok(None);
    }
    let listening = Listening {
        host: Arc::downgrade(host),
        ear: None,
        trouble: Trouble::default(),
    };
    std::thread::Builder::new()
        .name("chrono-forge-listener".to_owned())
        .spawn(move || {
            let host = Weak::clone(&listening.host);
            let died = |problem: &str| {
                if let Some(host) = host.upgrade() {
                    host.part_died("the listener", problem);
                }
            };
            parts::thread(|| listening.run(), died);
        })
        .map(Some)
}

struct Listening {
    /// The thread keeps no engine alive.
    host: Weak<Host>,
    ear: Option<Box<dyn Listener>>,
    trouble: Trouble,
}

impl Listening {
    fn run(mut self) {
        while let Some(heard) = self.hear() {
            let host = self.host.upgrade();
            let Some(host) = host.filter(|host| !host.over.load(Ordering::Acquire)) else {
                return;
            };
            match heard {
                Ok(calls) => {
                    self.trouble.end("other processes are heard again");
                    calls.into_iter().for_each(|call| answer(&host, call));
                }
                Err(error) => {
                    drop(host);
                    self.trouble
                        .tell(&error, "other processes are not heard; polling goes on");
                    std::thread::sleep(PAUSE);
                }
            }
        }
    }

    /// What came in a while; `None` when there is nothing to listen to.
    fn hear(&mut self) -> Option<Result<Vec<Call>, StoreError>> {
        let host = Weak::clone(&self.host);
        let awaited = move || {
            host.upgrade()
                .map_or_else(Vec::new, |host| host.hub.awaited())
        };
        if let Some(ear) = &mut self.ear {
            return Some(ear.wait(ear.wait_max(), &awaited));
        }
        let store = Arc::clone(&self.host.upgrade()?.store);
        match store.listener() {
            Ok(ear) => {
                self.ear = Some(ear?);
                // What came before is found by looking, also by those who wait for a run since
                // then.
                Some(Ok(Call::missed(awaited())))
            }
            Err(error) => Some(Err(error)),
        }
    }
}

fn answer(host: &Host, call: Call) {
    match call {
        Call::Due => host.work.notify_one(),
        Call::Settled(run) => host.hub.look(run),
    }
}
