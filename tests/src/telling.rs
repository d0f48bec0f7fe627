//! What the engine told in this process, and what bodies did within its spans.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::{Debug, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// What the engine tells has this target.
const ENGINE: &str = "chrono_forge";

/// Target of what the bodies of tests log: `tracing::info!(target: telling::USER, "..")`.
pub const USER: &str = "user";

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Spans by id, as lines show them, and how many handles they have.
static SPANS: Mutex<Option<HashMap<u64, (String, usize)>>> = Mutex::new(None);

thread_local! {
    /// The spans that this thread is in.
    static WITHIN: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

/// Keeps every event from now on.
///
/// # Panics
/// When somebody else listens already.
pub fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing::subscriber::set_global_default(Ear).expect("nobody else listens");
    });
}

/// Events with all of these words, each as `LEVEL field=value ..`; those of bodies as `LEVEL
/// span{field=value ..} ..`.
#[must_use]
pub fn told(words: &[&str]) -> Vec<String> {
    let has_all = |line: &&String| words.iter().all(|word| line.contains(word));
    lock(&LINES).iter().filter(has_all).cloned().collect()
}

/// All of them after so many.
#[must_use]
pub fn told_after(seen: usize) -> Vec<String> {
    lock(&LINES)[seen..].to_vec()
}

/// Spans that somebody still has a handle of.
#[must_use]
pub fn open_spans() -> Vec<String> {
    let spans = lock(&SPANS);
    let spans = spans.iter().flat_map(HashMap::values);
    spans.map(|(span, _)| span.clone()).collect()
}

/// Waits until so many events have all of these words.
pub async fn heard(words: &[&str], times: usize) -> Vec<String> {
    loop {
        let lines = told(words);
        if lines.len() >= times {
            return lines;
        }
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
}

struct Ear;

impl Subscriber for Ear {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        matches!(metadata.target(), ENGINE | USER)
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let mut fields = Line(String::new());
        span.record(&mut fields);
        let level = span.metadata().level();
        let shown = format!("{level} {}{{{}}}", span.metadata().name(), fields.0.trim());
        let mut spans = lock(&SPANS);
        spans.get_or_insert_default().insert(id, (shown, 1));
        Id::from_u64(id)
    }

    fn clone_span(&self, id: &Id) -> Id {
        if let Some((_, handles)) = lock(&SPANS).get_or_insert_default().get_mut(&id.into_u64()) {
            *handles += 1;
        }
        id.clone()
    }

    fn try_close(&self, id: Id) -> bool {
        let mut spans = lock(&SPANS);
        let spans = spans.get_or_insert_default();
        let is_last = spans.get_mut(&id.into_u64()).is_some_and(|(_, handles)| {
            *handles -= 1;
            *handles == 0
        });
        is_last && spans.remove(&id.into_u64()).is_some()
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        let innermost = WITHIN.with_borrow(|within| within.last().copied());
        if let Some(id) = innermost
            && let Some((span, _)) = lock(&SPANS).get_or_insert_default().get(&id)
        {
            let _ = write!(line.0, " [{span}]");
        }
        event.record(&mut line);
        lock(&LINES).push(line.0);
    }

    fn enter(&self, id: &Id) {
        WITHIN.with_borrow_mut(|within| within.push(id.into_u64()));
    }

    fn exit(&self, id: &Id) {
        WITHIN.with_borrow_mut(|within| {
            if let Some(at) = within.iter().rposition(|within| *within == id.into_u64()) {
                within.remove(at);
            }
        });
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // Writing to a string never fails.
        let _ = write!(self.0, " {}={value:?}", field.name());
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
