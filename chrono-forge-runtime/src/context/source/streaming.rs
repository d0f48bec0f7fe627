//! Items of a stream, each with a durable token behind it.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, Sleep, sleep_until};

use super::{BadCursor, Batch, IntoSource, Source, decode, encode_behind, present};
use crate::record::Json;

/// How long a batch that has items waits for the next one.
const PATIENCE: Duration = Duration::from_millis(100);

/// How long its first item waits for the others, however steadily they come.
const AGE_MAX: Duration = Duration::from_secs(1);

/// An async stream as a source; see [`stream`].
#[derive(Clone, Debug)]
pub struct Streamed<F>(F);

/// Items of a [`Stream`], each with a token that stands for the place behind it. `open` makes the stream
/// that goes on behind a token (`None`: from the start). The token of the last item that was dispatched is
/// the durable cursor. It is stored as JSON: one that is `null` there, as `Some(None)`, ends the run as
/// unstorable.
///
/// Batches have `of` items, or fewer when the stream has no next one for 100 ms, or once the first
/// of them has waited for a second: a slow stream holds no item back for longer. The stream is
/// polled for a batch only once all but the newest batch are durable, so memory holds two of them,
/// however fast it is. An error of it is an error of the block, whose policy opens the stream again
/// behind the last token.
///
/// ```
/// # mod chrono_forge { pub use chrono_forge_runtime::context::source::stream; }
/// use chrono_forge::stream;
/// # use chrono_forge_runtime::context::source::{IntoSource, ViaStream};
/// # fn spawn_each(_: impl IntoSource<ViaStream<u64>>) {}
/// # struct Events;
/// # impl futures_core::Stream for Events {
/// #     type Item = Result<(String, u64), anyhow::Error>;
/// #     fn poll_next(
/// #         self: std::pin::Pin<&mut Self>,
/// #         _: &mut std::task::Context<'_>,
/// #     ) -> std::task::Poll<Option<Self::Item>> {
/// #         std::task::Poll::Ready(None)
/// #     }
/// # }
/// # struct Queue;
/// # impl Queue { fn events_after(&self, _: Option<u64>) -> Events { Events } }
/// # fn example(queue: &Queue) {
/// // A stream of `Ok((event, offset))`.
/// let source = stream(|offset: Option<u64>| queue.events_after(offset));
/// // spawn_each!("event", source, |event| handle(event))
/// # spawn_each(source);
/// # }
/// ```
pub fn stream<F, S, I, T>(open: F) -> Streamed<F>
where
    F: FnMut(Option<T>) -> S,
    S: Stream<Item = Result<(I, T), anyhow::Error>>,
{
    Streamed(open)
}

/// Cursor of a stream: the token of the last item that was dispatched (none: of no item), and how many
/// there were.
#[derive(Serialize, Deserialize)]
#[serde(bound(deserialize = "T: DeserializeOwned"))]
struct Reached<T> {
    #[serde(deserialize_with = "present")]
    token: Option<T>,
    n: u64,
}

/// Tells streams from other sources.
#[derive(Debug)]
pub struct ViaStream<T>(T);

/// A function that opens the stream behind a token.
pub trait Open<T>: Send {
    /// What the closure gets.
    type Item: Send;
    /// The stream.
    type Stream: Stream<Item = Result<(Self::Item, T), anyhow::Error>> + Send;

    /// Opens it.
    fn open(&mut self, token: Option<T>) -> Self::Stream;
}

impl<F, S, I, T> Open<T> for F
where
    F: FnMut(Option<T>) -> S + Send,
    S: Stream<Item = Result<(I, T), anyhow::Error>> + Send,
    I: Send,
{
    type Item = I;
    type Stream = S;

    fn open(&mut self, token: Option<T>) -> S {
        self(token)
    }
}

/// The items of a stream.
pub struct StreamItems<F: Open<T>, T> {
    open: F,
    /// None before it is polled.
    stream: Option<Pin<Box<F::Stream>>>,
    token: Option<T>,
    /// Behind each item of the batch that was answered last.
    behind: Vec<T>,
    /// An error that came behind items, told once these are dispatched.
    error: Option<anyhow::Error>,
}

impl<F, T> IntoSource<ViaStream<T>> for Streamed<F>
where
    F: Open<T>,
    T: Serialize + DeserializeOwned + Clone + Send + Sync,
{
    type Item = F::Item;
    type Source = StreamItems<F, T>;

    fn into_source(self) -> Self::Source {
        StreamItems {
            open: self.0,
            stream: None,
            token: None,
            behind: Vec::new(),
            error: None,
        }
    }
}

/// A batch while it is filled.
struct Filling<I> {
    items: Vec<(Option<String>, I)>,
    /// Since the stream has been pending behind the last item.
    pause: Option<Pin<Box<Sleep>>>,
    /// When the first item stops waiting for others.
    until: Option<Instant>,
}

impl<I> Filling<I> {
    /// Whether a batch has waited long enough for a stream that is pending.
    fn poll_pause(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(until) = self.until else {
            return Poll::Pending;
        };
        let wait = || Box::pin(sleep_until(until.min(Instant::now() + PATIENCE)));
        self.pause.get_or_insert_with(wait).as_mut().poll(cx)
    }
}

impl<F: Open<T>, T: Clone> StreamItems<F, T> {
    /// Fills a batch; ready with whether nothing follows it.
    fn poll_fill(
        &mut self,
        filling: &mut Filling<F::Item>,
        of: usize,
        cx: &mut Context<'_>,
    ) -> Poll<bool> {
        let stream = self
            .stream
            .get_or_insert_with(|| Box::pin(self.open.open(self.token.clone())));
        while filling.items.len() < of && self.error.is_none() {
            match stream.as_mut().poll_next(cx) {
                Poll::Ready(Some(Ok((item, behind)))) => {
                    filling.items.push((None, item));
                    filling.pause = None;
                    filling
                        .until
                        .get_or_insert_with(|| Instant::now() + AGE_MAX);
                    self.behind.push(behind);
                }
                Poll::Ready(Some(Err(error))) => self.error = Some(error),
                Poll::Ready(None) => return Poll::Ready(true),
                Poll::Pending => return filling.poll_pause(cx).map(|()| false),
            }
        }
        Poll::Ready(false)
    }
}

impl<F, T> Source for StreamItems<F, T>
where
    F: Open<T>,
    T: Serialize + DeserializeOwned + Clone + Send + Sync,
{
    type Item = F::Item;

    fn resume(&mut self, cursor: &str) -> Result<u64, BadCursor> {
        let Reached { token, n } = decode(cursor)?;
        self.token = token;
        Ok(n)
    }

    async fn next_batch(&mut self, of: usize) -> Result<Batch<F::Item>, anyhow::Error> {
        let mut filling = Filling {
            items: Vec::new(),
            pause: None,
            until: None,
        };
        if let Some(last) = self.behind.pop() {
            self.token = Some(last);
            self.behind.clear();
        }
        let is_last = poll_fn(|cx| self.poll_fill(&mut filling, of, cx)).await;
        match self.error.take() {
            Some(error) if filling.items.is_empty() => Err(error),
            // The block ends with it, once what came before it is dispatched.
            error => {
                self.error = error;
                Ok(Batch {
                    items: filling.items,
                    is_last,
                    looks_again: false,
                })
            }
        }
    }

    fn cursor(&self, n: u64, left: usize) -> Result<Json, BadCursor> {
        let reached = self.behind.len().checked_sub(left + 1);
        let token = reached.map_or(self.token.as_ref(), |at| self.behind.get(at));
        encode_behind(token, &Reached { token, n })
    }
}

impl<F: Open<T>, T> fmt::Debug for StreamItems<F, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_open = self.stream.is_some();
        write!(f, "StreamItems(open: {is_open})")
    }
}
