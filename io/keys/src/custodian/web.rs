//! Requests to services: bounded in time and size, without redirects, in the clear only on this
//! machine.

use std::future::Future;
use std::time::Duration;

use reqwest::{Client, ClientBuilder, Request, Url, redirect};
use stella_model::ErrorCode;
use stella_model::host::is_loopback;

use super::Fault;

/// Most seconds for one operation, where the entry does not tell.
const TIMEOUT_SECONDS: u32 = 15;

/// Longest answer that is read, in bytes. Keys and signatures take less than 10 KiB of it.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// The address of a service that may be given a secret.
#[derive(Debug)]
pub(super) struct Address(Url);

/// What a service answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

impl Address {
    /// Reads an address.
    ///
    /// Only this machine is spoken to without TLS: everyone on the way could read the secret.
    pub(super) fn parse(text: &str) -> Result<Address, Fault> {
        let refused = |why: &str| {
            let said = format!("{text} cannot be the address of a service: {why}");
            Fault::new(ErrorCode::Invalid, said).hint("give an address such as https://HOST:PORT")
        };
        let url = Url::parse(text).map_err(|error| refused(&error.to_string()))?;
        let has_more = url.query().is_some() || url.fragment().is_some();
        if has_more || !url.username().is_empty() || url.password().is_some() {
            return Err(refused("it has more than a host, a port and a path"));
        }
        match (url.scheme(), is_here(&url)) {
            ("https", _) | ("http", true) => Ok(Address(url)),
            ("http", false) => Err(refused("without TLS only this machine is spoken to")),
            _ => Err(refused("it does not begin with https://")),
        }
    }

    /// This address with more of a path, whose segments need no escapes.
    pub(super) fn join(&self, path: &str) -> Url {
        let mut url = self.0.clone();
        url.set_path(&format!("{}/{path}", self.0.path().trim_end_matches('/')));
        url
    }

    /// A client for this address.
    pub(super) fn client(&self) -> Result<Client, Fault> {
        if self.0.scheme() == "http" { plain_client() } else { build(client()) }
    }
}

/// A client for addresses without TLS: a proxy would see what is sent.
pub(super) fn plain_client() -> Result<Client, Fault> {
    build(client().no_proxy())
}

fn client() -> ClientBuilder {
    Client::builder()
        .redirect(redirect::Policy::none())
        .referer(false)
        .user_agent(concat!("stella/", env!("CARGO_PKG_VERSION")))
}

fn build(builder: ClientBuilder) -> Result<Client, Fault> {
    let failed = |error| Fault::new(ErrorCode::Io, format!("no TLS: {}", innermost(&error)));
    builder.build().map_err(failed)
}

fn is_here(url: &Url) -> bool {
    url.host_str().is_some_and(is_loopback)
}

/// How long an operation may take.
pub(super) fn limit(timeout_seconds: Option<u32>) -> Duration {
    Duration::from_secs(timeout_seconds.unwrap_or(TIMEOUT_SECONDS).into())
}

/// Waits for an operation of one or more requests, on a thread of its own so that the caller may be
/// sync or async, and for so many seconds at most.
pub(super) fn wait<T: Send>(
    timeout_seconds: Option<u32>,
    operation: impl Future<Output = Result<T, Fault>> + Send,
) -> Result<T, Fault> {
    let limit = limit(timeout_seconds);
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let failed = |error| Fault::new(ErrorCode::Io, format!("no thread for requests: {error}"));
        let runtime = runtime.map_err(failed)?;
        let done = runtime.block_on(async { tokio::time::timeout(limit, operation).await });
        // A look-up of a name that hangs is not waited for.
        runtime.shutdown_background();
        done.unwrap_or_else(|_| {
            let said = format!("there was no answer within {} s", limit.as_secs());
            Err(Fault::new(ErrorCode::Unreachable, said).hint(
                "check the address and the network, then run the same command again; \
                 timeout-seconds in the entry of the key allows more",
            ))
        })
    };
    std::thread::scope(|scope| {
        let done = scope.spawn(run).join();
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Sends one request and reads its answer.
pub(super) async fn send(client: &Client, request: Request) -> Result<Answer, Fault> {
    let mut response = client.execute(request).await.map_err(|error| unreachable(&error))?;
    let status = response.status().as_u16();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| unreachable(&error))? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(not_understood("it is far too long"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer { status, body })
}

/// The fault of an answer that is none.
pub(super) fn not_understood(why: &str) -> Fault {
    let said = format!("the answer was not understood: {why}");
    Fault::new(ErrorCode::Io, said).hint("check that the address is that of the right service")
}

/// What a service says of an error, cut to a length that a screen can take.
pub(super) fn said(text: &str) -> String {
    const MOST: usize = 300;
    let text = text.trim();
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The fault of a service that answers that it cannot answer.
pub(super) fn unavailable(status: u16, text: &str) -> Fault {
    let said = match text {
        "" => format!("the service answered {status}"),
        text => format!("the service answered {status}: {}", said(text)),
    };
    Fault::new(ErrorCode::Unreachable, said)
        .hint("this may pass by itself: run the same command again")
}

fn unreachable(error: &reqwest::Error) -> Fault {
    let cause = innermost(error);
    let hint = match cause.contains("certificate") {
        true => {
            "if the service is the right one, trust its certificate authority on this machine, or \
             name a file of those that are trusted with SSL_CERT_FILE"
        }
        false => "check the address and the network, then run the same command again",
    };
    let said = format!("the service cannot be reached: {cause}");
    Fault::new(ErrorCode::Unreachable, said).hint(hint)
}

/// The cause at the bottom, which is the one that tells; those above repeat the address.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_leaves_this_machine_only_with_tls() {
        let cases = [
            ("https://vault.example:8200", true),
            ("https://vault.example/under/a/path", true),
            ("http://127.0.0.1:8200", true),
            ("http://[::1]:8200/", true),
            ("http://localhost", true),
            ("http://vault.example", false),
            ("http://127.0.0.1.example", false),
            ("http://localhost.example", false),
            ("ftp://127.0.0.1", false),
            ("https://user:secret@vault.example", false),
            ("https://vault.example?x=1", false),
            ("vault.example", false),
            ("", false),
        ];
        for (text, good) in cases {
            let parsed = Address::parse(text);
            assert_eq!(parsed.is_ok(), good, "{text}: {parsed:?}");
        }
        let under = Address::parse("https://v.example/under/").unwrap().join("v1/transit/keys/k");
        assert_eq!(under.as_str(), "https://v.example/under/v1/transit/keys/k");
    }

    #[test]
    fn words_of_a_service_are_cut() {
        assert_eq!(said(" no \n"), "no");
        assert_eq!(said(&"ä".repeat(400)).chars().count(), 301);
    }
}
