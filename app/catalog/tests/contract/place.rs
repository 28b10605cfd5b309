//! Catalogs to try it with.

use std::collections::BTreeSet;

use stella_catalog::{AuditEntry, BlockingStore, Catalog, Mutation, NewRun};
use stella_model::TenantId;
use stella_peers::Postgres;
use stella_run::{Millis, Rules};

/// A catalog and where it is.
pub(crate) struct Place {
    pub(crate) url: String,
    pub(crate) catalog: Catalog,
    pub(crate) is_postgres: bool,
    pub(crate) runtime: tokio::runtime::Runtime,
}

impl Place {
    pub(crate) fn at(url: String, is_postgres: bool) -> Place {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let catalog = runtime.block_on(async {
            Catalog::migrate(&url).await.expect("migrates");
            let catalog = Catalog::open(&url).await.expect("opens");
            for name in ["acme", "other"] {
                assert!(catalog.add_tenant(&tenant(name), Millis(1)).await.expect("adds"));
            }
            catalog
        });
        Place { url, catalog, is_postgres, runtime }
    }

    pub(crate) fn store(&self) -> BlockingStore {
        BlockingStore::new(self.catalog.clone(), self.runtime.handle().clone())
    }

    /// Waits for an answer.
    pub(crate) fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }
}

/// Tries something on both databases.
pub(crate) fn on_both(test: impl Fn(&Place)) {
    let folder = stella_testkit::temp_dir();
    test(&Place::at(sqlite(folder.path()), false));
    on_postgres(test);
}

/// Tries something on PostgreSQL.
pub(crate) fn on_postgres(test: impl Fn(&Place)) {
    if let Some(server) = Postgres::start() {
        test(&Place::at(server.database("catalog"), true));
    }
}

/// The address of a catalog in a folder.
pub(crate) fn sqlite(folder: &std::path::Path) -> String {
    format!("sqlite://{}", folder.join("catalog.db").display())
}

pub(crate) fn tenant(name: &str) -> TenantId {
    name.parse().expect("a tenant")
}

/// The span of the request that asks for a run.
pub(crate) const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// A run to be delivered over HTTP.
pub(crate) fn new_run(profile: &str) -> NewRun {
    NewRun {
        profile: profile.to_owned(),
        revision: 0,
        request: "{}".to_owned(),
        retry_of: None,
        targets: BTreeSet::from(["http".parse().expect("a target")]),
        rules: Rules::DEFAULT,
        trace: TRACE.parse().ok(),
    }
}

/// Somebody changes something.
pub(crate) fn mutation<'a>(entry: &'a AuditEntry, now: i64) -> Mutation<'a> {
    Mutation { entry, key: None, now: Millis(now) }
}

/// Somebody does something that is allowed.
pub(crate) fn entry(action: &'static str) -> AuditEntry {
    AuditEntry {
        actor: "ada".to_owned(),
        action,
        object: "it".to_owned(),
        outcome: "allowed",
        details: "{}".to_owned(),
        trace: "0af7651916cd43dd8448eb211c80319c".to_owned(),
    }
}
