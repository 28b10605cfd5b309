//! `--demo`: a service to try, on sample evidence, that leaves nothing behind.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rust_embed::RustEmbed;
use stella_engine::{Cancel, IngestRequest, NoProgress, Store};
use stella_keys::{Existing, KeyName, KeyStore, Password, PasswordSource};
use stella_ledger::{FeedSpec, IngestMode};
use stella_model::{Instant, TenantId};
use stella_seal::Algorithm;
use tempfile::TempDir;

use crate::arguments::{Serve, Usage, Work};
use crate::output;
use crate::service::{now, random};

/// The samples of the repository.
#[derive(RustEmbed)]
#[folder = "../../samples/"]
struct Samples;

/// What of the samples is no evidence.
const README: &str = "README.md";

/// The feed that a sample belongs to, as the README of the samples has it: advisories have one for each
/// of their folders, all else is of one publisher.
fn feed_of(sample: &str) -> &str {
    let folder = sample.strip_prefix("advisories/").and_then(|rest| rest.split_once('/'));
    folder.map_or("acme", |(feed, _)| feed)
}

/// The signing key.
const KEY: &str = "demo-1";

/// A data directory that is gone with the value.
pub(crate) struct Demo {
    folder: TempDir,
    /// Of the signing key; nobody needs to know it.
    password: Password,
}

impl Demo {
    /// Makes a store with the samples and a key made for it.
    pub(crate) fn new() -> anyhow::Result<Demo> {
        let folder = TempDir::with_prefix("export-center-demo-")
            .context("cannot make a temporary folder for the demo")?;
        let random = random::<32>().context("no random bytes to make a password of")?;
        let password = random.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let demo = Demo { folder, password: Password::new(password.into_bytes()) };
        let store = Store::at(demo.folder.path()).of_tenant(TenantId::local());
        let name: KeyName = KEY.parse()?;
        let keys = KeyStore::at(store.keys_dir());
        keys.generate(&name, Algorithm::EcdsaP256Sha256, &demo.password(), Existing::Keep)?;
        Ok(demo)
    }

    pub(crate) fn password(&self) -> PasswordSource {
        PasswordSource::Given(self.password.clone())
    }

    /// The same arguments, for the store of the demo.
    pub(crate) fn serve(&self, arguments: &Serve) -> Serve {
        let mut serve = arguments.clone();
        serve.work.place.data = Some(self.folder.path().to_owned());
        serve
    }

    /// Takes the samples in.
    pub(crate) fn ingest(&self) -> anyhow::Result<()> {
        let begun = std::time::Instant::now();
        let samples = self.folder.path().join("samples");
        let mut feeds = BTreeMap::<String, Vec<PathBuf>>::new();
        for name in Samples::iter().filter(|name| name != README) {
            let Some(file) = Samples::get(&name) else { continue };
            let path = samples.join(&*name);
            let folder = path.parent().unwrap_or(Path::new("."));
            std::fs::create_dir_all(folder).context("cannot write the samples")?;
            std::fs::write(&path, file.data).context("cannot write the samples")?;
            feeds.entry(feed_of(&name).to_owned()).or_default().push(path);
        }
        let store = Store::at(self.folder.path());
        let now = Instant::from_unix_seconds(now().0 / 1000).context("no time can be told")?;
        let (count, mut records) = (feeds.len(), 0);
        for (feed, paths) in feeds {
            let request = IngestRequest {
                feed: FeedSpec {
                    licence: Some("Apache-2.0".to_owned()),
                    ..FeedSpec::named(feed.parse()?)
                },
                paths,
                mode: IngestMode::Merge,
                threads: 2,
                dry_run: false,
                now,
            };
            let report = stella_engine::ingest(&store, &request, &NoProgress, &Cancel::new())?;
            records += report.summary.records.values().sum::<u64>();
        }
        let seconds = begun.elapsed().as_secs_f64();
        output::line(format_args!(
            "Sample data  {count} feeds, {records} records loaded in {seconds:.1} s"
        ))
    }

    /// Says what to type next.
    pub(crate) fn explain(&self, address: &str, token: &str) -> anyhow::Result<()> {
        let key = self.folder.path().join("keys").join(format!("{KEY}.pub"));
        let key = key.display();
        output::line(format_args!(
            "In another terminal:\n  \
             export STELLA_SERVER={address} STELLA_TOKEN={token}\n  \
             stella export run json:raw --download --trusted-key {key}\n  \
             stella export verify r-1.json-raw --key {key}\n\
             All of it is gone when this ends (Ctrl-C)."
        ))
    }
}

/// Whether a demo was asked for; it takes no place of its own.
pub(crate) fn wanted(work: &Work, demo: bool) -> anyhow::Result<bool> {
    let place = &work.place;
    let has_place = place.data.is_some() || place.catalog.is_some() || place.ledger.is_some();
    if demo && (has_place || work.depot.is_shared()) {
        let what =
            "--demo has a store of its own: leave --data, --catalog, --ledger and --depot out";
        return Err(Usage::new(what).into());
    }
    Ok(demo)
}

#[cfg(test)]
mod tests {
    use stella_testkit::SAMPLE_FEEDS;

    use super::*;

    #[test]
    fn every_sample_is_in_one_feed() {
        for name in Samples::iter().filter(|name| name != README) {
            let has = |folder: &&str| Path::new(&*name).starts_with(folder);
            let of = SAMPLE_FEEDS.iter().filter(|(_, folders)| folders.iter().any(has));
            let feeds: Vec<&str> = of.map(|(feed, _)| *feed).collect();
            assert_eq!(feeds, [feed_of(&name)], "{name}");
        }
    }
}
