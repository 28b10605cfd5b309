//! Requests, and answers as JSON or as bytes.

use std::fmt;
use std::io::Read;
use std::time::Duration;

use reqwest::blocking::{RequestBuilder, Response};
use reqwest::header::{
    ACCEPT, CONTENT_TYPE, HeaderValue, IF_MATCH, IF_NONE_MATCH, IF_RANGE, RANGE, RETRY_AFTER,
};
use reqwest::{Method, StatusCode, Url};
use serde_json::Value;
use stella_model::host::is_loopback;

use crate::error::refused;
use crate::{EventStream, RemoteError};

/// Where the interface begins.
const BASE: &str = "/api/export/v1";

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(10);

/// How long a server may be silent. Streams of events have a heartbeat every 15 seconds.
const SILENCE: Duration = Duration::from_secs(60);

/// How long evidence may take.
const INGEST: Duration = Duration::from_secs(7 * 24 * 3600);

/// Largest answer that is read into memory, in bytes.
const LARGEST: u64 = 256 << 20;

/// With what a client comes. Never shown.
#[derive(Clone)]
pub struct Credentials {
    /// A token of the server.
    pub token: String,
    /// The tenant, where the token belongs to several.
    pub tenant: Option<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("tenant", &self.tenant).finish_non_exhaustive()
    }
}

/// A server, as one client of it.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::blocking::Client,
    server: Url,
    credentials: Credentials,
}

/// A file of a bundle of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteFile {
    /// Its name within the bundle.
    pub path: String,
    /// Its bytes.
    pub size: u64,
    /// Their SHA-256, in hex.
    pub digest: String,
}

impl Client {
    /// A client of the server at an address such as `https://export.example`.
    ///
    /// # Errors
    /// [`RemoteError::Address`].
    pub fn new(address: &str, credentials: Credentials) -> Result<Client, RemoteError> {
        let refused = |rule| RemoteError::Address { address: address.to_owned(), rule };
        let mut server = Url::parse(address).map_err(|_| refused("it is not a URL"))?;
        // As the server prints it when it starts.
        if server.path().trim_end_matches('/') == BASE {
            server.set_path("");
        }
        if !matches!(server.scheme(), "http" | "https") {
            return Err(refused("it begins with http:// or https://"));
        }
        if server.path() != "/" || server.query().is_some() || !server.username().is_empty() {
            return Err(refused("it is scheme, host and port alone"));
        }
        let is_local = server.host_str().is_some_and(is_loopback);
        if server.scheme() == "http" && !is_local {
            return Err(refused("a token goes over http:// to this machine alone; use https://"));
        }
        let builder = reqwest::blocking::Client::builder();
        // What goes in the clear goes to this machine, and to no proxy.
        let builder = if server.scheme() == "http" { builder.no_proxy() } else { builder };
        let http = builder
            .connect_timeout(CONNECT)
            // Of the head of an answer, and of each piece of its body.
            .timeout(SILENCE)
            // A token goes to the server that was named, and nowhere else.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("stella/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|source| RemoteError::Unreachable {
                attempt: "prepare connections".to_owned(),
                source,
            })?;
        Ok(Client { http, server, credentials })
    }

    /// The address.
    #[must_use]
    pub fn address(&self) -> &str {
        self.server.as_str().trim_end_matches('/')
    }

    /// The tenant that requests are for, where the token does not say so.
    pub(crate) fn tenant(&self) -> Option<&str> {
        self.credentials.tenant.as_deref()
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.request_at(method, &format!("{BASE}{path}"))
    }

    /// A request for an address that may be outside of the interface.
    pub(crate) fn request_at(&self, method: Method, path: &str) -> RequestBuilder {
        let mut url = self.server.clone();
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        url.set_path(path);
        url.set_query((!query.is_empty()).then_some(query));
        let request = self.http.request(method, url).bearer_auth(&self.credentials.token);
        match &self.credentials.tenant {
            Some(tenant) => request.header("x-stella-tenant", tenant),
            None => request,
        }
    }

    /// Sends a request; an answer that is no success is an error.
    pub(crate) fn send(
        &self,
        attempt: &str,
        request: RequestBuilder,
    ) -> Result<Response, RemoteError> {
        let attempt = format!("{attempt} at {}", self.address());
        let sent = request.send();
        let response = sent.map_err(|source| RemoteError::Unreachable {
            attempt: attempt.clone(),
            source: source.without_url(),
        })?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let wait = response.headers().get(RETRY_AFTER);
        let wait = wait.and_then(|wait| wait.to_str().ok()?.parse().ok()).map(Duration::from_secs);
        let body = read(&attempt, response)?;
        Err(refused(&attempt, status.as_u16(), wait, &body))
    }

    fn json(&self, attempt: &str, request: RequestBuilder) -> Result<Value, RemoteError> {
        let response = self.send(attempt, request.timeout(SILENCE))?;
        if response.status() == StatusCode::NO_CONTENT {
            return Ok(Value::Null);
        }
        value(attempt, response)
    }

    /// Reads something; `attempt` is what for, such as `list runs`.
    ///
    /// # Errors
    /// [`RemoteError`].
    pub fn get(&self, attempt: &str, path: &str) -> Result<Value, RemoteError> {
        self.json(attempt, self.request(Method::GET, path))
    }

    /// Asks for something to be done, once however often it is sent: `key` is the Idempotency-Key.
    ///
    /// # Errors
    /// [`RemoteError`].
    pub fn post(
        &self,
        attempt: &str,
        path: &str,
        key: &str,
        body: Option<&Value>,
    ) -> Result<Value, RemoteError> {
        let mut request = self.keyed(Method::POST, path, key);
        if let Some(body) = body {
            let json = HeaderValue::from_static("application/json");
            request = request.header(CONTENT_TYPE, json).body(body.to_string());
        }
        self.json(attempt, request)
    }

    /// Has something be there; `key` as with [`post`](Client::post).
    ///
    /// # Errors
    /// [`RemoteError`].
    pub fn put(&self, attempt: &str, path: &str, key: &str) -> Result<Value, RemoteError> {
        self.json(attempt, self.keyed(Method::PUT, path, key))
    }

    /// Has something be gone; `key` as with [`post`](Client::post).
    ///
    /// # Errors
    /// [`RemoteError`].
    pub fn delete(&self, attempt: &str, path: &str, key: &str) -> Result<Value, RemoteError> {
        self.json(attempt, self.keyed(Method::DELETE, path, key))
    }

    /// Puts a document (TOML) in the place of the revision that was seen, 0 for none; `key` as with
    /// [`post`](Client::post).
    ///
    /// # Errors
    /// [`RemoteError`], of [`ErrorCode::Conflict`](stella_model::ErrorCode::Conflict) if another
    /// revision is there.
    pub fn put_revision(
        &self,
        attempt: &str,
        path: &str,
        key: &str,
        seen: u64,
        document: &str,
    ) -> Result<Value, RemoteError> {
        let request = of_revision(self.keyed(Method::PUT, path, key), seen);
        let toml = HeaderValue::from_static("application/toml");
        self.json(attempt, request.header(CONTENT_TYPE, toml).body(document.to_owned()))
    }

    /// Has the revision that was seen, and what it is one of, be gone; else as
    /// [`put_revision`](Client::put_revision).
    ///
    /// # Errors
    /// [`RemoteError`].
    pub fn delete_revision(
        &self,
        attempt: &str,
        path: &str,
        key: &str,
        seen: u64,
    ) -> Result<Value, RemoteError> {
        self.json(attempt, of_revision(self.keyed(Method::DELETE, path, key), seen))
    }

    fn keyed(&self, method: Method, path: &str, key: &str) -> RequestBuilder {
        self.request(method, path).header("idempotency-key", key)
    }

    /// Sends evidence for a feed, as it is read, in one request: all of it is taken in or nothing.
    ///
    /// # Errors
    /// [`RemoteError`].
    pub fn ingest(
        &self,
        feed: &str,
        told: &[(&str, String)],
        evidence: Box<dyn Read + Send>,
    ) -> Result<Value, RemoteError> {
        let path = format!("/feeds/{feed}/records");
        let request = self.request(Method::POST, &path);
        let (http, request) = request.build_split();
        let mut request = request.map_err(|source| RemoteError::Unreachable {
            attempt: "prepare a request".to_owned(),
            source: source.without_url(),
        })?;
        request.url_mut().query_pairs_mut().extend_pairs(told);
        // As long as it takes to send it and to take it in: the answer comes after both.
        *request.timeout_mut() = Some(INGEST);
        *request.body_mut() = Some(reqwest::blocking::Body::new(evidence));
        let octets = HeaderValue::from_static("application/octet-stream");
        request.headers_mut().insert(CONTENT_TYPE, octets);
        let attempt = "take in evidence";
        let response = self.send(attempt, RequestBuilder::from_parts(http, request))?;
        value(attempt, response)
    }

    /// What happens to a run from now on, or after an event that was seen.
    ///
    /// # Errors
    /// [`RemoteError`].
    pub fn events(&self, run: &str, after: Option<u64>) -> Result<EventStream, RemoteError> {
        let attempt = format!("watch {run}");
        let mut request = self.request(Method::GET, &format!("/runs/{run}/events"));
        request = request.header(ACCEPT, "text/event-stream");
        if let Some(after) = after {
            request = request.header("last-event-id", after.to_string());
        }
        let response = self.send(&attempt, request)?;
        Ok(EventStream::new(attempt, response))
    }

    /// All files of the bundle of a run.
    ///
    /// # Errors
    /// [`RemoteError`].
    pub fn files(&self, run: &str) -> Result<Vec<RemoteFile>, RemoteError> {
        let attempt = format!("list the files of {run}");
        let listed = self.get(&attempt, &format!("/runs/{run}/files"))?;
        let strange =
            |what: &str| RemoteError::Strange { attempt: attempt.clone(), what: what.to_owned() };
        let items = listed["items"].as_array().ok_or_else(|| strange("there is no list"))?;
        let file = |item: &Value| {
            Some(RemoteFile {
                path: item["path"].as_str()?.to_owned(),
                size: item["size"].as_u64()?,
                digest: item["digest"].as_str()?.to_owned(),
            })
        };
        items.iter().map(|item| file(item).ok_or_else(|| strange("a file is not told"))).collect()
    }

    /// Reads a file of the bundle of a run from a byte on.
    ///
    /// # Errors
    /// [`RemoteError`]; [`RemoteError::Strange`] if the server has another file by now.
    pub fn open(
        &self,
        run: &str,
        file: &RemoteFile,
        from: u64,
    ) -> Result<Box<dyn Read + Send>, RemoteError> {
        let attempt = format!("fetch {} of {run}", file.path);
        let mut request = self.request(Method::GET, &format!("/runs/{run}/parts/{}", file.path));
        if from > 0 {
            let tag = format!("\"{}\"", file.digest);
            request = request.header(RANGE, format!("bytes={from}-")).header(IF_RANGE, tag);
        }
        let response = self.send(&attempt, request)?;
        let expected = if from > 0 { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
        if response.status() != expected || response.content_length() != Some(file.size - from) {
            let what = "it is another file than was listed".to_owned();
            return Err(RemoteError::Strange { attempt, what });
        }
        Ok(Box::new(response))
    }
}

/// The body of an answer, as JSON.
fn value(attempt: &str, response: Response) -> Result<Value, RemoteError> {
    let body = read(attempt, response)?;
    serde_json::from_slice(&body).map_err(|error| RemoteError::Strange {
        attempt: attempt.to_owned(),
        what: format!("it is no JSON: {error}"),
    })
}

/// The whole body of an answer.
fn read(attempt: &str, response: Response) -> Result<Vec<u8>, RemoteError> {
    let mut body = Vec::new();
    response
        .take(LARGEST)
        .read_to_end(&mut body)
        .map_err(|source| RemoteError::BrokenOff { attempt: attempt.to_owned(), source })?;
    Ok(body)
}

/// A request that is done only if what it changes is as it was seen.
fn of_revision(request: RequestBuilder, seen: u64) -> RequestBuilder {
    match seen {
        0 => request.header(IF_NONE_MATCH, "*"),
        seen => request.header(IF_MATCH, format!("\"{seen}\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(address: &str, good: bool) {
        let credentials = Credentials { token: "secret".to_owned(), tenant: None };
        let client = Client::new(address, credentials);
        assert_eq!(client.is_ok(), good, "{address}");
        assert!(!format!("{client:?}").contains("secret"), "{client:?}");
    }

    #[test]
    fn a_token_goes_in_the_clear_to_this_machine_alone() {
        for good in [
            "http://127.0.0.1:8480",
            "http://127.1.2.3",
            "http://[::1]:9",
            "http://localhost:1",
            "https://export.example/",
        ] {
            check(good, true);
        }
        for bad in [
            "",
            "export.example",
            "ftp://export.example",
            "http://export.example",
            "http://127.evil.example",
            "http://127.0.0.1.example.com",
            "http://localhost.example",
            "http://localhost:1@evil.example",
            "https://export.example/api",
            "https://user@export.example",
            "https://export.example/?x=1",
        ] {
            check(bad, false);
        }
    }
}
