//! Tokens of an identity provider: JWTs that are checked with its published keys (OpenID Connect
//! Discovery 1.0; RFC 7519, RFC 7517).
//!
//! The provider says who somebody is and, in one claim, what they may in which tenant:
//! `{"export_center": {"acme": ["operator"], "beta": ["viewer"]}}`. Which tenants there are decides the
//! catalog, not the provider.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;
use serde_json::Value;
use stella_model::{ErrorCode, TenantId};
use tokio::sync::{Mutex, RwLock};

use super::{Role, Scope};
use crate::api::Problem;
use crate::arguments::Usage;

/// Algorithms that are believed: with a public key each. What a token says of itself beyond that is
/// not believed, `none` and shared secrets least of all.
const ALGORITHMS: [Algorithm; 6] = [
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
    Algorithm::RS256,
    Algorithm::PS256,
    Algorithm::RS512,
];

/// Seconds by which clocks may differ.
const SKEW: u64 = 60;

/// How long keys are believed before they are fetched again.
const FRESH: Duration = Duration::from_secs(600);

/// How soon they are fetched again for a token whose key is not among them.
const AGAIN: Duration = Duration::from_secs(10);

/// How long the provider may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Largest document of the provider, in bytes.
const LARGEST: usize = 1 << 20;

/// Longest name of a person that is written to the audit log, in characters.
const LONGEST_NAME: usize = 100;

/// An identity provider, and what is expected of its tokens.
pub(crate) struct Provider {
    issuer: String,
    audience: String,
    claim: String,
    http: reqwest::Client,
    keys: RwLock<Keys>,
    /// Held by whoever fetches keys.
    fetching: Mutex<()>,
}

#[derive(Default)]
struct Keys {
    set: Option<JwkSet>,
    /// When they were fetched.
    fetched: Option<Instant>,
    /// When that was tried last, whether it went well or not.
    tried: Option<Instant>,
}

impl Keys {
    fn find(&self, kid: &str) -> Option<Jwk> {
        self.set.as_ref()?.find(kid).cloned()
    }

    fn is_younger(time: Option<Instant>, age: Duration) -> bool {
        time.is_some_and(|time| time.elapsed() < age)
    }
}

/// What the provider says of somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Person {
    /// Who they are, for the audit log.
    pub(crate) name: String,
    /// What they may, by tenant.
    pub(crate) tenants: BTreeMap<TenantId, Vec<Scope>>,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    #[serde(flatten)]
    others: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

impl Provider {
    /// The provider at an address, which is also what `iss` of its tokens says.
    pub(crate) fn new(issuer: &str, audience: &str, claim: &str) -> anyhow::Result<Provider> {
        let unusable = |why: &str| Usage::new(format!("--oidc-issuer {issuer}: {why}"));
        let url = reqwest::Url::parse(issuer).map_err(|error| unusable(&error.to_string()))?;
        let is_local = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
        let is_safe = url.scheme() == "https" || (url.scheme() == "http" && is_local);
        let is_plain = url.username().is_empty() && url.password().is_none();
        let is_good = is_safe && is_plain;
        if !is_good {
            return Err(unusable("keys are believed over https:// only").into());
        }
        let http = reqwest::Client::builder()
            .timeout(PATIENCE)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Provider {
            issuer: issuer.to_owned(),
            audience: audience.to_owned(),
            claim: claim.to_owned(),
            http,
            keys: RwLock::default(),
            fetching: Mutex::default(),
        })
    }

    /// Who a token is of, if it is good.
    pub(crate) async fn person(&self, token: &str) -> Result<Person, Problem> {
        let denied =
            |why: &str| Problem::unauthenticated(&format!("the token is not valid: {why}"));
        let header = decode_header(token).map_err(|_| denied("it is no JWT"))?;
        if !ALGORITHMS.contains(&header.alg) {
            return Err(denied("its algorithm is not believed"));
        }
        let kid = header.kid.ok_or_else(|| denied("it does not name its key"))?;
        let jwk = self.key(&kid).await?.ok_or_else(|| denied("its key is not the provider's"))?;
        let is_for_signatures =
            jwk.common.public_key_use.as_ref().is_none_or(|is| *is == PublicKeyUse::Signature);
        if !is_for_signatures {
            return Err(denied("its key is not for signatures"));
        }
        let key = DecodingKey::from_jwk(&jwk).map_err(|_| denied("its key does not read"))?;
        let mut validation = Validation::new(header.alg);
        validation.leeway = SKEW;
        validation.validate_nbf = true;
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[&self.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        let decoded = decode::<Claims>(token, &key, &validation);
        let claims = decoded.map_err(|error| denied(&error.to_string()))?.claims;
        Ok(self.read(claims))
    }

    /// What the claims say. A tenant or word that is none says nothing.
    fn read(&self, claims: Claims) -> Person {
        let of_tenants = claims.others.get(&self.claim).and_then(Value::as_object);
        let tenant = |(name, words): (&String, &Value)| {
            let words = words.as_array()?.iter().filter_map(Value::as_str);
            let mut scopes: Vec<Scope> = words.flat_map(scopes).collect();
            scopes.sort();
            scopes.dedup();
            Some((name.parse().ok()?, scopes))
        };
        let tenants = of_tenants.into_iter().flatten().filter_map(tenant).collect();
        let plain = |c: &char| !c.is_control();
        let name: String = claims.sub.chars().filter(plain).take(LONGEST_NAME).collect();
        Person { name: format!("oidc:{name}"), tenants }
    }

    /// The key of a name. Keys are fetched when they are old, and for a name that is not among them,
    /// though not more often than every few seconds, whatever tokens name. Nobody waits for that whose
    /// key is known: a provider that is away for a while takes nobody's access.
    async fn key(&self, kid: &str) -> Result<Option<Jwk>, Problem> {
        let (known, is_fresh) = {
            let keys = self.keys.read().await;
            (keys.find(kid), Keys::is_younger(keys.fetched, FRESH))
        };
        if known.is_some() && is_fresh {
            return Ok(known);
        }
        let _fetching = match &known {
            Some(_) => match self.fetching.try_lock() {
                Ok(fetching) => fetching,
                Err(_) => return Ok(known),
            },
            None => self.fetching.lock().await,
        };
        // Others may have fetched them meanwhile, or have tried.
        if !Keys::is_younger(self.keys.read().await.tried, AGAIN) {
            let fetched = self.fetch().await;
            let mut keys = self.keys.write().await;
            keys.tried = Some(Instant::now());
            match fetched {
                Ok(set) => {
                    keys.set = Some(set);
                    keys.fetched = keys.tried;
                }
                Err(error) => {
                    tracing::warn!(%error, issuer = self.issuer, "no keys of the identity provider");
                }
            }
        }
        let keys = self.keys.read().await;
        match keys.set {
            Some(_) => Ok(keys.find(kid)),
            None => {
                let message = "the identity provider cannot be reached";
                Err(Problem::new(ErrorCode::Unreachable, message).retry_after(10))
            }
        }
    }

    async fn fetch(&self) -> anyhow::Result<JwkSet> {
        let place =
            format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'));
        let discovery: Discovery = self.get(&place).await?;
        anyhow::ensure!(discovery.issuer == self.issuer, "it says that it is {}", discovery.issuer);
        let is_local = self.issuer.starts_with("http://");
        anyhow::ensure!(
            is_local || discovery.jwks_uri.starts_with("https://"),
            "its keys are not at https://"
        );
        self.get(&discovery.jwks_uri).await
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, url: &str) -> anyhow::Result<T> {
        let mut response = self.http.get(url).send().await?.error_for_status()?;
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await? {
            body.extend_from_slice(&piece);
            anyhow::ensure!(body.len() <= LARGEST, "{url} is too large");
        }
        Ok(serde_json::from_slice(&body)?)
    }
}

/// The scopes of a word: of a role, or the scope itself.
fn scopes(word: &str) -> Vec<Scope> {
    match Role::ALL.into_iter().find(|role| role.as_str() == word) {
        Some(role) => role.scopes().to_vec(),
        None => Scope::of_word(word).into_iter().collect(),
    }
}

impl Person {
    /// The tenant that a request is for: the one that it names, or the only one.
    pub(crate) fn tenant(&self, wanted: Option<&str>) -> Result<TenantId, Problem> {
        let mut tenants = self.tenants.keys();
        match (wanted, tenants.next(), tenants.next()) {
            (Some(wanted), _, _) => {
                let found = self.tenants.keys().find(|tenant| tenant.as_str() == wanted);
                found.cloned().ok_or_else(|| {
                    Problem::new(
                        ErrorCode::NotAllowed,
                        "the token does not belong to the tenant of X-Stella-Tenant",
                    )
                })
            }
            (None, Some(only), None) => Ok(only.clone()),
            (None, None, _) => {
                Err(Problem::new(ErrorCode::NotAllowed, "the token belongs to no tenant"))
            }
            (None, Some(_), Some(_)) => {
                Err(Problem::usage("the token belongs to several tenants: name one")
                    .hint("send X-Stella-Tenant"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn person(claim: Value) -> Person {
        let provider = Provider::new("https://id.example", "export-center", "export_center");
        let claims = json!({ "sub": "ada\u{7}", "export_center": claim });
        let claims = serde_json::from_value(claims).expect("are claims");
        provider.unwrap_or_else(|error| panic!("{error}")).read(claims)
    }

    #[test]
    fn a_claim_says_what_somebody_may_in_which_tenant() {
        let ada =
            person(json!({ "acme": ["viewer", "export:run", "root"], "beta": [], "A b": ["admin"],
                                 "gamma": "admin" }));
        assert_eq!(ada.name, "oidc:ada");
        let told: Vec<(&str, &[Scope])> = ada
            .tenants
            .iter()
            .map(|(tenant, scopes)| (tenant.as_str(), scopes.as_slice()))
            .collect();
        assert_eq!(told, [("acme", &[Scope::Read, Scope::Run][..]), ("beta", &[])]);
        for none in [json!(null), json!("acme"), json!(["acme"])] {
            assert!(person(none).tenants.is_empty());
        }
    }

    #[test]
    fn a_request_is_for_the_tenant_that_it_names_or_for_the_only_one() {
        let status = |person: &Person, wanted| {
            person.tenant(wanted).map(|tenant| tenant.to_string()).map_err(|error| error.code())
        };
        let several = person(json!({ "acme": ["viewer"], "beta": ["viewer"] }));
        assert_eq!(status(&several, Some("beta")), Ok("beta".to_owned()));
        assert_eq!(status(&several, Some("gamma")), Err(ErrorCode::NotAllowed));
        assert_eq!(status(&several, None), Err(ErrorCode::Usage));
        let one = person(json!({ "acme": ["viewer"] }));
        assert_eq!(status(&one, None), Ok("acme".to_owned()));
        assert_eq!(status(&person(json!({})), None), Err(ErrorCode::NotAllowed));
    }

    #[test]
    fn keys_come_over_tls_or_from_this_machine() {
        for good in ["https://id.example", "http://127.0.0.1:9/x", "http://localhost:9"] {
            assert!(Provider::new(good, "a", "c").is_ok(), "{good}");
        }
        for bad in [
            "http://id.example",
            "id.example",
            "http://127.0.0.1.example:9",
            "http://localhost:1@evil.example",
        ] {
            assert!(Provider::new(bad, "a", "c").is_err(), "{bad}");
        }
    }
}
