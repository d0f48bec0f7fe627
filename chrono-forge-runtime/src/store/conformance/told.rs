//! What is told while a test listens.

use std::fmt::{Debug, Write};
use std::sync::{Arc, LazyLock, Mutex};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Dispatch, Event, Metadata, Subscriber};

/// Keeps all events, each as `LEVEL field=value ..`.
#[derive(Clone, Default)]
pub(crate) struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    /// Does `work` and hears what it tells on this thread.
    pub(crate) fn hear<T>(&self, work: impl FnOnce() -> T) -> T {
        listening(self.clone(), work)
    }

    /// What was told so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// Does `work` with this subscriber on its thread.
///
/// Another subscriber is kept alive beside it. Where there is one alone, tracing asks only the
/// thread that reaches an event first whether anybody listens; one without a subscriber would then
/// switch the event off for the whole process.
pub(crate) fn listening<T>(
    subscriber: impl Subscriber + Send + Sync + 'static,
    work: impl FnOnce() -> T,
) -> T {
    static BESIDE: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(Told::default()));
    LazyLock::force(&BESIDE);
    tracing::subscriber::with_default(subscriber, work)
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }
}

impl Subscriber for Told {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[test]
fn an_event_that_a_thread_without_a_subscriber_reaches_first_is_heard() {
    let told = Told::default();
    told.hear(|| {
        let event = || tracing::info!("reached");
        std::thread::scope(|scope| scope.spawn(event).join()).unwrap();
        event();
    });
    assert_eq!(told.lines(), ["INFO message=reached"]);
}
