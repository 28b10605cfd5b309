//! Connections: accepted, limited in number and time, and ended in good order.

mod activity;
pub(crate) mod direct;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use rustix::net::sockopt::{set_socket_keepalive, set_tcp_keepidle};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

use self::activity::{Activity, Ending};
use self::direct::{Direct, Outbox};
use crate::access::Peer;
use crate::descriptors;

/// Connections at once, where the system allows that many.
const CONNECTIONS: usize = 8_192;

/// Longest head of a request, in bytes.
const LONGEST_HEAD: usize = 32 << 10;

/// How long a client may take for the head of a request, also between two of them.
const HEAD_TIME: Duration = Duration::from_secs(60);

/// How long a client may take nothing of what it is sent, in milliseconds: as nginx has it. A download that
/// was left alone goes on at its byte later.
#[cfg(target_os = "linux")]
const STALLED_MS: u32 = 60_000;

/// How long a client may take to agree on keys.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How often a client that sends nothing is asked whether it is there.
const ALIVE: Duration = Duration::from_secs(30);

/// Serves connections until `stop` is over, then waits until those that are left have been answered,
/// at most so long.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    router: Router,
    places: Places,
    stop: impl Future<Output = ()>,
    patience: Duration,
) {
    let Places { free, guests } = places;
    let graceful = GracefulShutdown::new();
    tokio::pin!(stop);
    loop {
        // Who comes when all places are taken waits in the queue of the system.
        let place = free.clone().acquire_owned();
        let accepted = async {
            let place = place.await.ok();
            (listener.accept().await, place)
        };
        let (accepted, place) = tokio::select! {
            () = &mut stop => break,
            accepted = accepted => accepted,
        };
        let (stream, address) = match accepted {
            Ok((stream, address)) => (stream, address),
            Err(error) => {
                // Such as too many open files: others end theirs meanwhile.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        // One address does not take the places of all others.
        let Some(own) = guests.enter(address.ip()) else { continue };
        // Small answers and events are not to wait for more.
        drop(stream.set_nodelay(true));
        // A client that is gone without a word is noticed, also in the middle of what it sent.
        let _ = set_socket_keepalive(&stream, true);
        let _ = set_tcp_keepidle(&stream, ALIVE);
        // And so is one that is there and takes nothing.
        #[cfg(target_os = "linux")]
        let _ = rustix::net::sockopt::set_tcp_user_timeout(&stream, STALLED_MS);
        let (router, watcher, tls) = (router.clone(), graceful.watcher(), tls.clone());
        tokio::spawn(async move {
            // A client that went away is no error of the service.
            match tls {
                None => {
                    let outbox = Outbox::default();
                    let stream = Direct::new(stream, outbox.clone());
                    let guest = Guest { address, outbox: Some(outbox), activity: None };
                    let connection = connection(stream, Protocol::Http1, guest, router);
                    drop(watcher.watch(connection).await);
                }
                Some(tls) => {
                    let shaken = tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await;
                    let Ok(Ok(stream)) = shaken else { return };
                    let mut guest = Guest { address, outbox: None, activity: None };
                    match Protocol::agreed(stream.get_ref().1.alpn_protocol()) {
                        Protocol::Http1 => {
                            let connection = connection(stream, Protocol::Http1, guest, router);
                            drop(watcher.watch(connection).await);
                        }
                        Protocol::Http2 => {
                            let activity = Activity::new();
                            let stream = Ending::new(stream, activity.clone(), HEAD_TIME);
                            guest.activity = Some(activity);
                            let connection = connection(stream, Protocol::Http2, guest, router);
                            drop(watcher.watch(connection).await);
                        }
                    }
                }
            }
            drop((place, own));
        });
    }
    drop(listener);
    tokio::select! {
        () = graceful.shutdown() => {}
        () = tokio::time::sleep(patience) => {}
    }
}

/// The places of connections, which all listeners of a process share: each takes a file descriptor.
#[derive(Clone)]
pub(crate) struct Places {
    free: Arc<Semaphore>,
    guests: Guests,
}

impl Places {
    pub(crate) fn new() -> Places {
        let quarter = usize::try_from(descriptors::quarter()).unwrap_or(usize::MAX);
        let most = quarter.clamp(16, CONNECTIONS);
        let guests = Guests { most: most / 2, by_address: Arc::default() };
        Places { free: Arc::new(Semaphore::new(most)), guests }
    }
}

/// Who is connected, by address.
#[derive(Clone)]
struct Guests {
    /// Connections of one address at most.
    most: usize,
    by_address: Arc<Mutex<BTreeMap<IpAddr, usize>>>,
}

/// A connection of an address, until it is dropped.
struct Entered {
    address: IpAddr,
    by_address: Arc<Mutex<BTreeMap<IpAddr, usize>>>,
}

impl Guests {
    /// One more of an address, unless it has as many as it may.
    fn enter(&self, address: IpAddr) -> Option<Entered> {
        let mut by_address = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        let count = by_address.entry(address).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Entered { address, by_address: self.by_address.clone() })
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let mut by_address = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                by_address.remove(&self.address);
            }
        }
    }
}

/// What is spoken on a connection. It is known from its beginning, so that the time for the head of the
/// first request runs at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Http1,
    Http2,
}

impl Protocol {
    /// What a client and TLS agreed on.
    fn agreed(protocol: Option<&[u8]>) -> Protocol {
        if protocol == Some(b"h2") { Protocol::Http2 } else { Protocol::Http1 }
    }
}

/// Who is at the other end of a connection.
struct Guest {
    address: SocketAddr,
    /// If it can be sent files.
    outbox: Option<Outbox>,
    /// Told of all that goes on, if that has to be known.
    activity: Option<Activity>,
}

/// A connection with its limits.
fn connection<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    protocol: Protocol,
    guest: Guest,
    router: Router,
) -> impl hyper_util::server::graceful::GracefulConnection<Error: Send> + Send + 'static {
    let service = hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(Peer(guest.address.ip()));
        if let Some(outbox) = &guest.outbox {
            request.extensions_mut().insert(outbox.clone());
        }
        let (answer, activity) = (router.clone().oneshot(request), guest.activity.clone());
        async move {
            match activity {
                Some(activity) => activity.watch(answer).await,
                None => answer.await,
            }
        }
    });
    let builder = Builder::new(TokioExecutor::new());
    let mut builder = match protocol {
        Protocol::Http1 => builder.http1_only(),
        Protocol::Http2 => builder.http2_only(),
    };
    let http1 = &mut builder.http1();
    http1.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME).max_buf_size(LONGEST_HEAD);
    let http2 = &mut builder.http2();
    http2.timer(TokioTimer::new()).max_header_list_size(LONGEST_HEAD as u32);
    http2.keep_alive_interval(ALIVE).max_concurrent_streams(100);
    builder.serve_connection(TokioIo::new(stream), service).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_has_its_share_and_no_more() {
        let guests = Guests { most: 2, by_address: Arc::default() };
        let address = |last| IpAddr::from([192, 0, 2, last]);
        let held = (guests.enter(address(1)), guests.enter(address(1)));
        assert!(held.0.is_some() && held.1.is_some());
        assert!(guests.enter(address(1)).is_none());
        assert!(guests.enter(address(2)).is_some());
        drop(held);
        assert!(guests.enter(address(1)).is_some());
        assert!(guests.by_address.lock().expect("a lock").is_empty(), "nobody is remembered");
    }

    #[test]
    fn http_2_is_spoken_where_it_was_agreed_on() {
        assert_eq!(Protocol::agreed(Some(b"h2")), Protocol::Http2);
        for other in [None, Some(&b"http/1.1"[..]), Some(b"h3")] {
            assert_eq!(Protocol::agreed(other), Protocol::Http1);
        }
    }
}
