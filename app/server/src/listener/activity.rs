//! What goes on on a connection, so that one on which nothing does any more comes to its end.
//!
//! Over HTTP/1 a client has so long for the head of its next request, and the system ends a connection
//! that takes nothing of what it is sent. Over HTTP/2 a client that asks for nothing, or asks and then takes
//! nothing, would keep its place for ever with answers to pings, which its library gives for it.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::response::Response;
use hyper::body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// Bytes that may be no more than an answer to a ping, and are no sign that something goes on.
const PING: usize = 64;

/// What goes on on one connection.
#[derive(Debug, Clone)]
pub(super) struct Activity(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// How often the client waits for the service.
    waiting: usize,
    /// When something last came or went.
    last: Instant,
}

/// That the client waits for the service, until it is dropped.
struct Waiting(Activity);

impl Activity {
    pub(super) fn new() -> Activity {
        Activity(Arc::new(Mutex::new(State { waiting: 0, last: Instant::now() })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn touch(&self) {
        self.state().last = Instant::now();
    }

    fn wait(&self) -> Waiting {
        self.state().waiting += 1;
        Waiting(self.clone())
    }

    /// Since when nothing goes on; now, while the client waits for the service.
    fn quiet_since(&self) -> Instant {
        let state = self.state();
        if state.waiting > 0 { Instant::now() } else { state.last }
    }

    /// Watches how a request is answered.
    pub(super) async fn watch<E>(
        self,
        answer: impl Future<Output = Result<Response, E>>,
    ) -> Result<Response, E> {
        let waiting = self.wait();
        let answer = answer.await?;
        drop(waiting);
        Ok(answer.map(|body| Body::new(Watched { body, activity: self, waiting: None })))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.waiting -= 1;
        state.last = Instant::now();
    }
}

/// A body: asked for more, something goes on; while it has nothing yet, the client waits.
struct Watched {
    body: Body,
    activity: Activity,
    waiting: Option<Waiting>,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        self.activity.touch();
        match polled.is_pending() {
            true if self.waiting.is_none() => self.waiting = Some(self.activity.wait()),
            true => {}
            false => self.waiting = None,
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A stream that comes to its end when nothing went on for so long.
pub(super) struct Ending<S> {
    stream: S,
    activity: Activity,
    patience: Duration,
    timer: Pin<Box<Sleep>>,
}

impl<S> Ending<S> {
    pub(super) fn new(stream: S, activity: Activity, patience: Duration) -> Ending<S> {
        let timer = Box::pin(sleep_until(activity.quiet_since() + patience));
        Ending { stream, activity, patience, timer }
    }

    /// Notes what a client takes: with HTTP/2 nothing is written that it has not asked for.
    fn wrote(&self, polled: &Poll<io::Result<usize>>) {
        if matches!(polled, Poll::Ready(Ok(bytes)) if *bytes > PING) {
            self.activity.touch();
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Ending<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.timer.as_mut().poll(context).is_ready() {
            let end = self.activity.quiet_since() + self.patience;
            if end <= Instant::now() {
                // As if the client had ended it.
                return Poll::Ready(Ok(()));
            }
            self.timer.as_mut().reset(end);
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Ending<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.wrote(&polled);
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.wrote(&polled);
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::response::IntoResponse as _;
    use futures_util::StreamExt as _;
    use futures_util::stream;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const PATIENCE: Duration = Duration::from_millis(100);

    /// How long a stream goes on on which nothing comes.
    async fn ends_after(activity: &Activity) -> Duration {
        let (_client, server) = tokio::io::duplex(64);
        let begun = Instant::now();
        let mut stream = Ending::new(server, activity.clone(), PATIENCE);
        assert_eq!(stream.read(&mut [0; 8]).await.expect("reads"), 0, "it is over");
        begun.elapsed()
    }

    #[tokio::test]
    async fn a_connection_without_requests_ends() {
        let took = ends_after(&Activity::new()).await;
        assert!(took >= PATIENCE, "{took:?}");
    }

    #[tokio::test]
    async fn who_waits_for_the_service_is_kept_and_who_takes_nothing_is_not() {
        let activity = Activity::new();
        let slow = async {
            tokio::time::sleep(PATIENCE * 4).await;
            // Its second piece takes as long, and there are more than anybody asks for.
            let pieces = stream::iter(0_u32..).then(|number| async move {
                tokio::time::sleep(if number == 1 { PATIENCE * 4 } else { Duration::ZERO }).await;
                Ok::<_, Infallible>(Bytes::from_static(b"piece"))
            });
            Ok::<_, Infallible>(Body::from_stream(pieces).into_response())
        };
        let answered = {
            let activity = activity.clone();
            tokio::spawn(async move {
                let response = activity.watch(slow).await.expect("an answer");
                let mut pieces = response.into_body().into_data_stream();
                for _ in 0..2 {
                    pieces.next().await.expect("a piece").expect("of the body");
                }
                pieces
            })
        };
        let took = ends_after(&activity).await;
        assert!(took >= PATIENCE * 8, "{took:?}");
        // What is written is taken, unless it answers a ping.
        let (mut client, server) = tokio::io::duplex(1 << 10);
        let mut stream = Ending::new(server, activity.clone(), PATIENCE);
        for (bytes, is_taken) in [(17, false), (PING + 1, true)] {
            let before = activity.quiet_since();
            tokio::time::sleep(Duration::from_millis(2)).await;
            stream.write_all(&vec![0; bytes]).await.expect("writes");
            client.read_exact(&mut vec![0; bytes]).await.expect("reads");
            assert_eq!(activity.quiet_since() > before, is_taken, "{bytes}");
        }
        // The body is still there, and nobody asks it for more.
        drop(answered.await.expect("no panic"));
    }
}
