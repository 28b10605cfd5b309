//! How much may be asked at once: of everybody, of one tenant, of one address.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};

use governor::clock::Clock as _;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use stella_model::{ErrorCode, TenantId};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::api::Problem;

/// Attempts with unknown tokens that an address has in a minute. A token has 256 random bits, so that this
/// keeps nobody from guessing: it tells a client that goes wrong to stop. Whoever is known is let in from
/// such an address all the same, for many may come through one proxy.
const UNKNOWN_A_MINUTE: u32 = 60;

/// Bundles that a tenant fetches at once.
const DOWNLOADS: usize = 256;

/// Streams of events that a tenant watches at once.
const WATCHERS: usize = 2_000;

/// Plans that a tenant has made at once: each reads the ledger.
const PLANS: usize = 2;

/// Ingests that a tenant has at once: each is a transaction of its ledger.
const INGESTS: usize = 2;

/// Pages of the ledger that a tenant has made or sent at once: each is in memory as a whole.
const EXPORTS: usize = 8;

/// Something of which a tenant may have so many at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    Download,
    Watch,
    Plan,
    Ingest,
    Export,
}

impl Place {
    fn most(self) -> usize {
        match self {
            Place::Download => DOWNLOADS,
            Place::Watch => WATCHERS,
            Place::Plan => PLANS,
            Place::Ingest => INGESTS,
            Place::Export => EXPORTS,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Place::Download => "downloads",
            Place::Watch => "streams of events",
            Place::Plan => "plans",
            Place::Ingest => "ingests",
            Place::Export => "pages of the ledger",
        }
    }
}

/// What is counted.
pub(crate) struct Limits {
    requests: DefaultKeyedRateLimiter<TenantId>,
    unknown: DefaultKeyedRateLimiter<IpAddr>,
    faults: DefaultKeyedRateLimiter<String>,
    places: Mutex<BTreeMap<(Place, TenantId), Arc<Semaphore>>>,
}

impl Limits {
    /// So many requests a second of one tenant, and ten times as many in a burst.
    pub(crate) fn new(requests_a_second: NonZeroU32) -> Limits {
        let burst = requests_a_second.saturating_mul(NonZeroU32::MIN.saturating_add(9));
        let requests = Quota::per_second(requests_a_second).allow_burst(burst);
        let a_minute = NonZeroU32::MIN.saturating_add(UNKNOWN_A_MINUTE - 1);
        Limits {
            requests: RateLimiter::keyed(requests),
            unknown: RateLimiter::keyed(Quota::per_minute(a_minute)),
            faults: RateLimiter::keyed(Quota::per_minute(NonZeroU32::MIN)),
            places: Mutex::default(),
        }
    }

    /// Counts a request of a tenant.
    pub(crate) fn request(&self, tenant: &TenantId) -> Result<(), Problem> {
        self.requests.check_key(tenant).map_err(|until| {
            let wait = until.wait_time_from(self.requests.clock().now());
            too_many("the tenant sends more requests than it may", wait.as_secs() + 1)
        })
    }

    /// Refuses an address that tried too many tokens that nobody knows.
    pub(crate) fn stranger(&self, address: IpAddr) -> Result<(), Problem> {
        self.unknown.check_key(&address).map_err(|until| {
            let wait = until.wait_time_from(self.unknown.clock().now());
            too_many("this address sent too many tokens that nobody knows", wait.as_secs() + 1)
        })
    }

    /// Whether it is to be logged once more that a token is not valid any more: once a minute.
    pub(crate) fn may_log_fault(&self, token: &String) -> bool {
        self.faults.check_key(token).is_ok()
    }

    /// Takes one of the places of a tenant, until it is dropped.
    pub(crate) fn enter(
        &self,
        place: Place,
        tenant: &TenantId,
    ) -> Result<OwnedSemaphorePermit, Problem> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let semaphore = places
            .entry((place, tenant.clone()))
            .or_insert_with(|| Arc::new(Semaphore::new(place.most())));
        semaphore.clone().try_acquire_owned().map_err(|_| {
            let what = format!("the tenant has {} {} already", place.most(), place.name());
            too_many(&what, 5)
        })
    }

    /// Forgets whoever has been quiet for long enough.
    pub(crate) fn forget_quiet(&self) {
        self.requests.retain_recent();
        self.unknown.retain_recent();
        self.faults.retain_recent();
    }
}

fn too_many(what: &str, seconds: u64) -> Problem {
    Problem::new(ErrorCode::Quota, what).retry_after(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_too_much_has_to_wait_and_others_do_not() {
        let limits = Limits::new(NonZeroU32::MIN);
        let tenant = |name: &str| name.parse::<TenantId>().expect("a tenant");
        for _ in 0..10 {
            assert!(limits.request(&tenant("acme")).is_ok());
        }
        assert!(limits.request(&tenant("acme")).is_err());
        assert!(limits.request(&tenant("other")).is_ok());
        let address = |last| IpAddr::from([192, 0, 2, last]);
        let tries = (0..100).filter(|_| limits.stranger(address(1)).is_ok()).count();
        assert_eq!(tries, UNKNOWN_A_MINUTE as usize);
        assert!(limits.stranger(address(2)).is_ok());
    }

    #[test]
    fn a_place_is_free_again_when_it_is_left() {
        let limits = Limits::new(NonZeroU32::MIN);
        let (acme, other) = ("acme".parse().expect("a tenant"), "other".parse().expect("one"));
        let mut held: Vec<_> = (0..PLANS)
            .map(|_| limits.enter(Place::Plan, &acme).unwrap_or_else(|_| panic!("is free")))
            .collect();
        assert!(limits.enter(Place::Plan, &acme).is_err());
        assert!(limits.enter(Place::Plan, &other).is_ok());
        assert!(limits.enter(Place::Download, &acme).is_ok());
        held.pop();
        assert!(limits.enter(Place::Plan, &acme).is_ok());
    }
}
