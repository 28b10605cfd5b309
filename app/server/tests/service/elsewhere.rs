//! The tests of the interface once more, with catalog and ledger in PostgreSQL and the depot in a bucket.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use stella_engine::Store;
use stella_peers::{Postgres, SeaweedFs};

use crate::{document, downloads, feeds, library, oidc, operator, requests, runs, tenancy};

thread_local! {
    /// Where this thread has services keep everything; in their data directories unless it is said.
    static ELSEWHERE: RefCell<Option<Elsewhere>> = const { RefCell::new(None) };
}

/// Servers for what services keep.
struct Elsewhere {
    postgres: Postgres,
    weed: SeaweedFs,
    /// By data directory: each has databases and a folder of the bucket to itself.
    places: BTreeMap<PathBuf, Variables>,
}

/// Variables that tell a program where everything is.
type Variables = Vec<(&'static str, String)>;

const LEDGER: &str = "EXPORT_CENTER_LEDGER";

impl Elsewhere {
    fn place(&mut self, data: &Path) -> &Variables {
        let number = self.places.len();
        let (postgres, weed) = (&self.postgres, &self.weed);
        self.places.entry(data.to_owned()).or_insert_with(|| {
            let bucket = format!("s3://{}/place-{number}", SeaweedFs::BUCKET);
            let place = vec![
                ("EXPORT_CENTER_CATALOG", postgres.database(&format!("catalog-{number}"))),
                (LEDGER, postgres.database(&format!("ledger-{number}"))),
                ("EXPORT_CENTER_DEPOT", bucket),
                ("EXPORT_CENTER_S3_ENDPOINT", weed.url()),
            ];
            let mut migrate = Command::new(env!("CARGO_BIN_EXE_export-center"));
            migrate.arg("migrate").env("EXPORT_CENTER_DATA", data).envs(place.clone());
            assert!(migrate.status().expect("runs").success());
            place
        })
    }
}

/// Tells a program on a data directory where everything is, if it is not there.
pub(crate) fn tell(command: &mut Command, data: &Path) {
    ELSEWHERE.with_borrow_mut(|elsewhere| {
        if let Some(elsewhere) = elsewhere {
            command.envs(elsewhere.place(data).clone());
        }
    });
}

/// Whether services of this thread keep everything elsewhere.
pub(crate) fn is_used() -> bool {
    ELSEWHERE.with_borrow(Option::is_some)
}

/// The store of the first tenant of a data directory.
pub(crate) fn store(data: &Path) -> Store {
    let store = Store::at(data);
    ELSEWHERE.with_borrow_mut(|elsewhere| match elsewhere {
        Some(elsewhere) => {
            let place = elsewhere.place(data).iter();
            let ledger = place.filter(|(name, _)| *name == LEDGER).map(|(_, url)| url);
            ledger.fold(store, |store, url| store.with_database(url))
        }
        None => store,
    })
}

/// Every test of the interface that looks at it alone.
const TESTS: &[(&str, fn())] = &[
    ("document", document::the_service_keeps_what_the_document_promises),
    ("downloads", downloads::any_range_of_a_bundle_can_be_fetched),
    ("large downloads", downloads::what_is_large_comes_as_it_is_in_whatever_ranges),
    ("feeds", feeds::evidence_that_streams_in_becomes_a_bundle),
    ("broken evidence", feeds::evidence_that_breaks_off_leaves_nothing),
    ("library", library::a_feed_of_the_library_is_read_by_those_who_are_subscribed),
    ("subscriptions", library::what_cannot_be_subscribed_to_says_why),
    ("people", oidc::who_the_provider_knows_may_what_it_says_and_nobody_else),
    ("several tenants", oidc::a_token_of_several_tenants_reaches_the_one_that_is_named),
    ("outsiders", oidc::a_tenant_is_told_of_people_from_elsewhere_who_wanted_in),
    ("last tokens", operator::who_took_all_tokens_away_has_none_until_the_operator_makes_one),
    ("quotas", operator::quotas_are_set_by_the_operator_and_shown_to_the_tenant),
    ("strangers", requests::nobody_gets_in_without_a_token),
    ("bad requests", requests::bad_requests_say_what_is_wrong),
    ("rates", requests::who_asks_too_often_has_to_wait),
    ("runs", runs::a_run_is_started_watched_and_fetched),
    ("repetitions", runs::a_run_that_ended_is_repeated_as_a_run_of_its_own),
    ("inputs", runs::what_a_run_read_and_where_it_is_can_be_asked_for),
    ("profiles", runs::a_profile_of_a_tenant_is_run_as_it_was_when_the_run_was_accepted),
    ("streams", runs::one_stream_tells_of_all_runs_and_a_stream_that_is_over_says_so),
    ("figures", runs::figures_are_told_to_the_operator_alone),
    ("roles", tenancy::every_role_may_what_the_table_says),
    ("tenants", tenancy::nothing_of_another_tenant_ever_comes_back),
];

#[test]
fn the_interface_is_the_same_on_postgresql_and_s3() {
    let (Some(postgres), Some(weed)) = (Postgres::start(), SeaweedFs::start()) else { return };
    ELSEWHERE.set(Some(Elsewhere { postgres, weed, places: BTreeMap::new() }));
    for (name, test) in TESTS {
        eprintln!("elsewhere: {name}");
        test();
    }
    let places = ELSEWHERE.with_borrow(|elsewhere| elsewhere.as_ref().map(|e| e.places.len()));
    assert!(places.is_some_and(|places| places >= TESTS.len()), "{places:?} places were used");
    ELSEWHERE.set(None);
}
