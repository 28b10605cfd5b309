//! A bucket of S3-compatible storage that several machines share, and how it is reached.

use std::fmt;
use std::future::Future;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::client::{HttpConnector as _, ReqwestConnector};
use object_store::path::Path;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};

use crate::error::failed;
use crate::objects::Recently;
use crate::unfinished::Uploads;
use crate::{DepotError, FRESH};

/// How often a request is tried again that failed with a status of 500 or more, or without an answer.
const RETRIES: usize = 5;

/// How long a request is tried again; then the run waits and tries its task again.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long one request may take, with its body.
const REQUEST: Duration = Duration::from_secs(30);

/// Which bucket, and under which names in it: `s3://BUCKET/PREFIX`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketAddress {
    bucket: String,
    prefix: Path,
}

/// Why a text is no [`BucketAddress`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadAddress(&'static str);

impl FromStr for BucketAddress {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<BucketAddress, BadAddress> {
        let rest = text.strip_prefix("s3://").ok_or(BadAddress("it begins with s3://"))?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let is_plain =
            |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-');
        if !(2..=63).contains(&bucket.len()) || !bucket.chars().all(is_plain) {
            return Err(BadAddress("a bucket has 2 to 63 lower-case letters, digits, `.` and `-`"));
        }
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/');
        if !prefix.chars().all(is_plain) || prefix.len() > 256 {
            return Err(BadAddress("a prefix has letters, digits, `.`, `-`, `_` and `/`"));
        }
        let prefix = Path::parse(prefix.trim_end_matches('/'))
            .map_err(|_| BadAddress("a prefix has no empty parts and no `..`"))?;
        Ok(BucketAddress { bucket: bucket.to_owned(), prefix })
    }
}

impl fmt::Display for BucketAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.prefix)
    }
}

/// Who asks a bucket.
#[derive(Clone)]
pub enum Credentials {
    /// As the environment says: `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, the token file of a web
    /// identity, or what the container or machine is given.
    Surroundings,
    /// Whoever has this key.
    Given {
        /// Its name.
        key_id: String,
        /// Its secret.
        secret: String,
    },
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(not shown)")
    }
}

/// How a bucket is reached.
#[derive(Debug, Clone)]
pub struct BucketPlace {
    /// Which bucket.
    pub address: BucketAddress,
    /// The server; that of AWS unless given. One with `http:` is spoken to without TLS.
    pub endpoint: Option<String>,
    /// The region; that of the environment unless given.
    pub region: Option<String>,
    /// Who asks.
    pub credentials: Credentials,
    /// How patient requests are.
    pub patience: Patience,
}

/// How patient requests are.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// How often one is tried again.
    pub retries: usize,
    /// How long it is tried again.
    pub retrying: Duration,
    /// How long each try may take.
    pub request: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience { retries: RETRIES, retrying: PATIENCE, request: REQUEST }
    }
}

/// A bucket. Clones share its connections and its threads.
#[derive(Clone)]
pub struct Bucket {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) uploads: Uploads,
    address: BucketAddress,
    runtime: Arc<Runtime>,
    pub(crate) seen: Arc<Recently>,
    /// How long what was written counts as used now.
    pub(crate) fresh: Duration,
}

impl fmt::Debug for Bucket {
    /// Without what the client knows, which has credentials in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bucket({})", self.address)
    }
}

impl Bucket {
    /// A bucket as it is reached; nothing is asked of it yet.
    ///
    /// # Errors
    /// [`DepotError`] if what is configured makes no sense, or there are no threads to be had.
    pub fn at(place: &BucketPlace) -> Result<Bucket, DepotError> {
        let what = || place.address.to_string();
        let mut options =
            ClientOptions::new().with_timeout(place.patience.request).with_user_agent(agent());
        let mut builder = AmazonS3Builder::from_env()
            .with_bucket_name(&place.address.bucket)
            .with_retry(RetryConfig {
                backoff: BackoffConfig {
                    init_backoff: Duration::from_millis(100),
                    max_backoff: Duration::from_secs(10),
                    base: 2.0,
                },
                max_retries: place.patience.retries,
                retry_timeout: place.patience.retrying,
            });
        if let Some(endpoint) = &place.endpoint {
            builder = builder.with_endpoint(endpoint);
            options = options.with_allow_http(endpoint.starts_with("http://"));
        }
        if let Some(region) = &place.region {
            builder = builder.with_region(region);
        }
        if let Credentials::Given { key_id, secret } = &place.credentials {
            builder = builder.with_access_key_id(key_id).with_secret_access_key(secret);
        }
        let failed_here = |error| DepotError::of_bucket("set up", what(), error);
        let client = ReqwestConnector::default().connect(&options).map_err(failed_here)?;
        let store = builder.with_client_options(options).build().map_err(failed_here)?;
        let runtime = Runtime::new().map_err(failed("start threads for", what().as_ref()))?;
        let address = place.address.clone();
        Ok(Bucket {
            uploads: Uploads::new(store.clone(), client),
            store: Arc::new(store),
            address,
            runtime: Arc::new(runtime),
            seen: Arc::default(),
            fresh: FRESH,
        })
    }

    /// What comes before every name.
    pub(crate) fn prefix(&self) -> &Path {
        &self.address.prefix
    }

    /// Lets a request be done on the threads of the bucket, and waits for it. May be called from any
    /// thread.
    pub(crate) fn wait<T: Send + 'static>(
        &self,
        request: impl Future<Output = T> + Send + 'static,
    ) -> T {
        self.begin(request).get()
    }

    /// Lets a request be done, without waiting for it yet.
    pub(crate) fn begin<T: Send + 'static>(
        &self,
        request: impl Future<Output = T> + Send + 'static,
    ) -> Begun<T> {
        let (tell, told) = mpsc::sync_channel(1);
        self.runtime.handle.spawn(async move {
            // Whoever does not wait any more does not want to know.
            let _ = tell.send(request.await);
        });
        Begun(told)
    }
}

/// A request that is under way.
pub(crate) struct Begun<T>(mpsc::Receiver<T>);

impl<T> Begun<T> {
    pub(crate) fn get(self) -> T {
        self.0.recv().expect("a request ends with an answer: it does not panic, and its threads live as long as the bucket")
    }
}

#[cfg(test)]
impl Bucket {
    /// One in memory in which nothing is ever fresh: as if hours passed between any two requests.
    pub(crate) fn where_hours_pass() -> Bucket {
        let place = BucketPlace {
            address: "s3://evidence/some/where".parse().expect("an address"),
            endpoint: None,
            region: Some("us-east-1".to_owned()),
            credentials: Credentials::Given { key_id: "id".to_owned(), secret: "none".to_owned() },
            patience: Patience::default(),
        };
        let store = Arc::new(object_store::memory::InMemory::new());
        Bucket { store, fresh: Duration::ZERO, ..Bucket::at(&place).expect("is set up") }
    }

    /// The same bucket for a machine that has not seen anything of it.
    pub(crate) fn for_another(&self) -> Bucket {
        Bucket { seen: Arc::default(), ..self.clone() }
    }
}

fn agent() -> http::HeaderValue {
    http::HeaderValue::from_static("export-center")
}

/// The threads that speak with a bucket.
struct Runtime {
    handle: tokio::runtime::Handle,
    /// There until it is dropped.
    runtime: Option<tokio::runtime::Runtime>,
}

impl Runtime {
    fn new() -> std::io::Result<Runtime> {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(2).thread_name("bucket").enable_all().build()?;
        Ok(Runtime { handle: runtime.handle().clone(), runtime: Some(runtime) })
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        // Does not wait, so that the last one may go on any thread.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_a_bucket_and_a_prefix() {
        for (text, told) in [
            ("s3://evidence", "s3://evidence/"),
            ("s3://evidence/", "s3://evidence/"),
            ("s3://my.evidence-1/exports/of_us/", "s3://my.evidence-1/exports/of_us"),
        ] {
            let address: BucketAddress = text.parse().expect("an address");
            assert_eq!(address.to_string(), told);
        }
        for bad in ["", "evidence", "s3://", "s3://a", "s3://Evidence", "s3://evidence/a b"] {
            assert!(bad.parse::<BucketAddress>().is_err(), "{bad}");
        }
        for bad in ["s3://evidence/a//b", "s3://evidence/../a", "s3://user:pass@evidence/a"] {
            assert!(bad.parse::<BucketAddress>().is_err(), "{bad}");
        }
    }
}
