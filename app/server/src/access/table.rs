//! The one table of requests: what each is called, and which scope it takes.
//!
//! Whoever asks is looked up here before any handler runs, so that no handler can forget it; the
//! OpenAPI document, the role matrix of the documentation and the tests are made of the same rows.

use axum::http::Method;

/// What a token may allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scope {
    /// Look at profiles, plans, runs and usage.
    Read,
    /// Start, cancel and repeat runs.
    Run,
    /// Fetch bundles.
    Download,
    /// Write profiles.
    ProfileManage,
    /// Deliver bundles to targets.
    Distribute,
    /// Take evidence into the ledger.
    Ingest,
    /// Read all of the evidence in the ledger.
    LedgerRead,
    /// Read the audit log.
    AuditRead,
    /// Everything.
    Admin,
}

impl Scope {
    /// All of them.
    pub(crate) const ALL: [Scope; 9] = [
        Scope::Read,
        Scope::Run,
        Scope::Download,
        Scope::ProfileManage,
        Scope::Distribute,
        Scope::Ingest,
        Scope::LedgerRead,
        Scope::AuditRead,
        Scope::Admin,
    ];

    /// The word in tokens.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Scope::Read => "export:read",
            Scope::Run => "export:run",
            Scope::Download => "export:download",
            Scope::ProfileManage => "export:profile:manage",
            Scope::Distribute => "export:distribute",
            Scope::Ingest => "ledger:ingest",
            Scope::LedgerRead => "ledger:read",
            Scope::AuditRead => "audit:read",
            Scope::Admin => "export:admin",
        }
    }

    /// The scope of a word.
    pub(crate) fn of_word(word: &str) -> Option<Scope> {
        Scope::ALL.into_iter().find(|scope| scope.as_str() == word)
    }
}

/// A set of scopes that belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Looks.
    Viewer,
    /// Makes bundles, and fetches and delivers them.
    Operator,
    /// Does everything.
    Admin,
    /// Looks, also at the audit log.
    Auditor,
}

impl Role {
    /// All of them.
    pub(crate) const ALL: [Role; 4] = [Role::Viewer, Role::Operator, Role::Admin, Role::Auditor];

    /// The word for people and machines.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Operator => "operator",
            Role::Admin => "admin",
            Role::Auditor => "auditor",
        }
    }

    /// What it may.
    pub(crate) const fn scopes(self) -> &'static [Scope] {
        match self {
            Role::Viewer => &[Scope::Read],
            Role::Operator => &[
                Scope::Read,
                Scope::Run,
                Scope::Download,
                Scope::Distribute,
                Scope::Ingest,
                Scope::LedgerRead,
            ],
            Role::Admin => &[Scope::Admin],
            Role::Auditor => &[Scope::Read, Scope::AuditRead],
        }
    }
}

/// A request that takes a token.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// What it is called in the audit log and in the OpenAPI document.
    pub(crate) name: &'static str,
    pub(crate) method: Method,
    /// Its address after the base, with names in braces where something varies. That of the export of
    /// the ledger has no base: it is the one that others have too.
    pub(crate) path: &'static str,
    /// What it takes; none if any known token will do.
    pub(crate) scope: Option<Scope>,
}

const fn row(
    name: &'static str,
    method: Method,
    path: &'static str,
    scope: Option<Scope>,
) -> Request {
    Request { name, method, path, scope }
}

/// Every request that takes a token.
pub(crate) const REQUESTS: &[Request] = &[
    row("me.get", Method::GET, "/me", None),
    row("profile.list", Method::GET, "/profiles", Some(Scope::Read)),
    row("profile.get", Method::GET, "/profiles/{name}", Some(Scope::Read)),
    row("profile.put", Method::PUT, "/profiles/{name}", Some(Scope::ProfileManage)),
    row("profile.delete", Method::DELETE, "/profiles/{name}", Some(Scope::ProfileManage)),
    row("profile.history", Method::GET, "/profiles/{name}/revisions", Some(Scope::Read)),
    row("plan.create", Method::POST, "/plans", Some(Scope::Read)),
    row("run.list", Method::GET, "/runs", Some(Scope::Read)),
    row("run.create", Method::POST, "/runs", Some(Scope::Run)),
    row("run.get", Method::GET, "/runs/{id}", Some(Scope::Read)),
    row("run.cancel", Method::POST, "/runs/{id}/cancel", Some(Scope::Run)),
    row("run.retry", Method::POST, "/runs/{id}/retry", Some(Scope::Run)),
    row("run.events", Method::GET, "/runs/{id}/events", Some(Scope::Read)),
    row("run.inputs", Method::GET, "/runs/{id}/inputs", Some(Scope::Read)),
    row("run.distributions", Method::GET, "/runs/{id}/distributions", Some(Scope::Read)),
    row("bundle.manifest", Method::GET, "/runs/{id}/manifest", Some(Scope::Read)),
    row("bundle.provenance", Method::GET, "/runs/{id}/provenance", Some(Scope::Read)),
    row("bundle.signatures", Method::GET, "/runs/{id}/signatures", Some(Scope::Read)),
    row("bundle.files", Method::GET, "/runs/{id}/files", Some(Scope::Read)),
    row("bundle.parts", Method::GET, "/runs/{id}/parts", Some(Scope::Read)),
    row("bundle.part", Method::GET, "/runs/{id}/parts/{*path}", Some(Scope::Download)),
    row("bundle.download", Method::GET, "/runs/{id}/bundle.tar", Some(Scope::Download)),
    row("event.list", Method::GET, "/events", Some(Scope::Read)),
    row("feed.list", Method::GET, "/feeds", Some(Scope::Read)),
    row("feed.get", Method::GET, "/feeds/{name}", Some(Scope::Read)),
    row("feed.quarantine", Method::GET, "/feeds/{name}/quarantine", Some(Scope::Read)),
    row("feed.ingest", Method::POST, "/feeds/{name}/records", Some(Scope::Ingest)),
    row("feed.subscribe", Method::PUT, "/feeds/{name}/subscription", Some(Scope::Ingest)),
    row("feed.unsubscribe", Method::DELETE, "/feeds/{name}/subscription", Some(Scope::Ingest)),
    row("library.list", Method::GET, "/library/feeds", Some(Scope::Read)),
    row("ledger.export", Method::GET, "/ledger/export/{kind}", Some(Scope::LedgerRead)),
    row("quota.get", Method::GET, "/quotas", Some(Scope::Read)),
    row("audit.list", Method::GET, "/audit", Some(Scope::AuditRead)),
    row("audit.verify", Method::GET, "/audit/verification", Some(Scope::AuditRead)),
    row("token.list", Method::GET, "/tokens", Some(Scope::Admin)),
    row("token.create", Method::POST, "/tokens", Some(Scope::Admin)),
    row("token.revoke", Method::DELETE, "/tokens/{id}", Some(Scope::Admin)),
];

impl Request {
    /// Roles that may send it.
    pub(crate) fn roles(&self) -> Vec<&'static str> {
        let may = |role: &Role| {
            let has = |scope| role.scopes().contains(&scope) || *role == Role::Admin;
            self.scope.is_none_or(has)
        };
        Role::ALL.into_iter().filter(may).map(Role::as_str).collect()
    }

    /// The row of a method and a path as it is routed.
    pub(crate) fn of(method: &Method, path: &str) -> Option<&'static Request> {
        // Whoever may get something may ask how large it is.
        let method = if method == Method::HEAD { &Method::GET } else { method };
        REQUESTS.iter().find(|row| row.method == *method && row.path == path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_are_there_once() {
        for (at, row) in REQUESTS.iter().enumerate() {
            for other in &REQUESTS[..at] {
                assert_ne!(row.name, other.name);
                assert!(row.method != other.method || row.path != other.path, "{row:?}");
            }
        }
    }

    #[test]
    fn scopes_have_words_that_lead_back_to_them() {
        for scope in Scope::ALL {
            assert_eq!(Scope::of_word(scope.as_str()), Some(scope));
        }
        assert_eq!(Scope::of_word("export"), None);
    }
}
