//! The files of a bundle that people read: `README.md`, `NOTICE.md`, `SHA256SUMS`.
//!
//! They are parts like any other: a function of the plan, without key ids, run ids, hosts or clock
//! times.

use std::fmt::Write as _;

use stella_model::screen::Safe;
use stella_model::{Instant, PartName};
use stella_plan::{FeedEntry, OutputPlan, Policy, ProfileId, RedactionId, SetEntry};

use crate::{PartEntry, layout};

/// What `README.md` and `NOTICE.md` tell.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// `asOf` of the plan.
    pub as_of: Instant,
    /// The profile.
    pub profile: &'a ProfileId,
    /// The outputs.
    pub outputs: &'a [OutputPlan],
    /// The carried sets.
    pub sets: &'a [SetEntry],
    /// The feeds.
    pub feeds: &'a [FeedEntry],
    /// The policy that outputs for scanners belong to.
    pub policy: Option<&'a Policy>,
    /// The redaction rules.
    pub redaction: &'a RedactionId,
    /// Values that were redacted.
    pub redacted_values: u64,
    /// Records that were left out because no rule reads their format.
    pub left_out: u64,
    /// Whether the bundle carries the records themselves.
    pub carries_records: bool,
    /// Databases of Trivy in the bundle.
    pub databases: &'a [Database],
    /// The VEX repository of Trivy in the bundle.
    pub vex: Option<VexRepository>,
}

/// A VEX repository that Trivy reads, in `trivy/vex/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VexRepository {
    /// Whether its files name the address that it will be served from.
    pub has_address: bool,
}

/// A database that Trivy loads, as a layer of the bundle's image layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Database {
    /// Its folder in Trivy's cache, and in `trivy/cache/`.
    pub folder: &'static str,
    /// Its tag in the image layout.
    pub layout_tag: &'static str,
    /// Name and tag of a repository for it, as Trivy looks for it.
    pub repository: &'static str,
    /// Trivy's flag that names the repository.
    pub repository_flag: &'static str,
    /// Trivy's flag that keeps it from asking for a newer one.
    pub skip_flag: &'static str,
    /// Path of the layer in the bundle.
    pub layer: PartName,
    /// Path of the list of what could not be said in it; without one, that is counted and no more.
    pub report: Option<PartName>,
}

/// `README.md`: what the bundle is and how to check it.
#[must_use]
pub fn readme(facts: &Facts<'_>) -> String {
    let outputs: Vec<&str> = facts.outputs.iter().map(|output| output.adapter.as_str()).collect();
    let mut text = format!(
        "# Evidence bundle\n\n\
         Profile `{}`, outputs {}, evidence as of {}.\n",
        facts.profile.name,
        outputs.join(", "),
        facts.as_of
    );
    if let Some(policy) = facts.policy {
        let _ = write!(text, "Policy `{}`", policy.policy_version);
        match policy.inputs_hash {
            Some(hash) => {
                let _ = writeln!(text, ", evaluated over inputs with the hash\n`{hash}`.");
            }
            None => text.push_str(".\n"),
        }
    }
    if facts.carries_records {
        text.push_str("\n| kind | feed | records |\n| --- | --- | ---: |\n");
        for set in facts.sets {
            let _ = writeln!(text, "| {} | {} | {} |", set.kind, set.feed, set.count);
        }
    } else {
        text.push_str("\nIt is made of records and carries none of them as they are.\n");
    }
    text.push_str(CHECKING);
    text.push_str(CONTENTS);
    if !facts.databases.is_empty() {
        text.push_str(DATABASES);
    }
    if facts.vex.is_some() {
        text.push_str(REPOSITORY);
    }
    if facts.vex.is_some() || facts.databases.iter().any(|database| database.report.is_some()) {
        text.push_str(REPORT);
    }
    if !facts.sets.is_empty() {
        text.push_str(RECORDS);
    }
    if !facts.databases.is_empty() {
        text.push_str(&trivy(facts.databases));
    }
    if let Some(vex) = facts.vex {
        let _ = write!(text, "{VEX}{SET}{VEX_COMMANDS}");
        text.push_str(if vex.has_address { VEX_SERVED } else { VEX_NOT_SERVED });
    }
    let _ = writeln!(text, "\nRedaction: {}", redaction(facts));
    text.push_str("\nLicences and attributions: see `NOTICE.md`.\n");
    text
}

const CHECKING: &str = "
## Checking it

Get the public key of the publisher from somewhere else than this bundle, then:

```
stella export verify . --key PUBLISHER.pub
```

The same with cosign 2 or 3, without a network:

```
cosign verify-blob --key PUBLISHER.pub --insecure-ignore-tlog \\
  --trusted-root trusted_root.json --bundle export.json.sigstore.json export.json
cosign verify-blob-attestation --type slsaprovenance1 --key PUBLISHER.pub --insecure-ignore-tlog \\
  --trusted-root trusted_root.json --bundle provenance.json.sigstore.json export.json
sha256sum -c SHA256SUMS
```

cosign warns that no transparency log was used; with a key of one's own that is as it should be.
cosign checks the manifest alone; `stella export verify` also checks every file that it lists.
";

const CONTENTS: &str = "
## What is where

- `export.json`: the manifest. It lists every file with its size and SHA-256.
- `provenance.json`: what the bundle was made from, as an in-toto statement.
";

const DATABASES: &str = "- `trivy/oci/`: the databases as an OCI image layout; `trivy/cache/`: what a cache folder has beside them.
";

const REPOSITORY: &str = "- `trivy/vex/`: the VEX repository.
";

const REPORT: &str =
    "- `trivy/*.report.jsonl`: what could not be said, one line each with its reason.
";

const RECORDS: &str = "- `data/raw/KIND/FEED/p-*.jsonl.zst`: the records, one JSON object a line, compressed with zstd.
  The member `raw` (or `text`) of a line is the document.
- `indexes/KIND/FEED/p-*.jsonl.zst`: where each record lies in the part of the same name.

To read records: `stella export cat .`, or `zstd -dc data/raw/KIND/FEED/*.zst | jq .raw`.
";

/// How Trivy gets the databases, from a folder and from a registry.
fn trivy(databases: &[Database]) -> String {
    let mut text = String::from(TRIVY);
    for Database { folder, report, .. } in databases {
        let _ = match report {
            Some(report) => write!(
                text,
                "\nWhat could not be said in `trivy:{folder}` is listed with a reason in `{report}`."
            ),
            None => write!(
                text,
                "\nWhat could not be said in `trivy:{folder}` is counted by reason in `export.json`, under\n\
                 `notRepresented`."
            ),
        };
    }
    text.push_str("\n\n");
    let (mut folder, mut registry) = (String::new(), String::new());
    let (mut skip, mut repositories) = (String::new(), String::new());
    for database in databases {
        let Database { folder: name, layer, layout_tag, repository, .. } = database;
        let _ = write!(
            folder,
            "mkdir -p \"$CACHE/{name}\"\n\
             tar -xzf {layer} \\\n  -C \"$CACHE/{name}\"\n\
             install -m 644 trivy/cache/{name}/metadata.json \"$CACHE/{name}/\"\n"
        );
        let _ = writeln!(
            registry,
            "oras cp --from-oci-layout trivy/oci:{layout_tag} $REGISTRY/{repository}"
        );
        let _ = write!(skip, " {}", database.skip_flag);
        let _ = write!(repositories, " {} $REGISTRY/{repository}", database.repository_flag);
    }
    // What is not in the bundle, Trivy must not look for on the internet.
    let others =
        BOTH.iter().filter(|other| databases.iter().all(|one| one.skip_flag != other.flag));
    let mut missing = String::new();
    let mut absent = String::new();
    for other in others {
        let _ = write!(absent, " {}", other.flag);
        let _ = write!(missing, "\n{}\n", other.text);
    }
    let _ = write!(
        text,
        "Without a registry, into a cache folder of your choice:\n\n```\n{SET}\n{folder}\
         trivy image --cache-dir \"$CACHE\"{skip}{absent} --offline-scan IMAGE\n```\n\n\
         From a registry of your own, after copying it there:\n\n```\n{registry}\
         trivy image{repositories}{absent} --offline-scan IMAGE\n```\n{PLACES}{missing}"
    );
    text
}

/// A database that Trivy looks for, and what to do where a bundle does not have it.
struct Other {
    flag: &'static str,
    text: &'static str,
}

const BOTH: [Other; 2] = [
    Other {
        flag: "--skip-db-update",
        text: "The database of vulnerabilities is not in this bundle (output `trivy:db`): without one in \
               `$CACHE/db`\nTrivy stops.",
    },
    Other {
        flag: "--skip-java-db-update",
        text: "The index of jars is not in this bundle (output `trivy:java-db`): without one in \
               `$CACHE/java-db`\nTrivy stops at images with Java archives.",
    },
];

/// Stops a shell in which nobody has said where the cache is.
const SET: &str = ": \"${CACHE:?is to name a folder for the cache of Trivy}\"";

const PLACES: &str = "
For an SBOM, `trivy sbom FILE` with the same flags. `CACHE` is the folder, `REGISTRY` host and path
such as `registry.example/security`. For a registry without TLS add `--to-plain-http` to `oras cp`,
and `--insecure` to Trivy unless it is on the loopback. From 0.67 on, `--skip-version-check` and
`--disable-telemetry` keep Trivy from asking the internet for news.
";

const TRIVY: &str = "
## Scanning with it

The databases stand in the place of the public ones, for Trivy 0.59.1 and later. Trivy checks no
signature: check the bundle first.";

const VEX: &str = "
## What is not affected

`trivy/vex/` is a VEX repository: Trivy 0.59.1 and later hides findings of packages that it calls
`not_affected` or `fixed`. What is said of an image or a product and its parts counts where Trivy sees
that product: since 0.67 no more in its SBOM. Trivy checks no signature: check the bundle first. What
could not be said in it is listed with a reason in `trivy/vex.report.jsonl`.

If you have a `~/.trivy/vex/repository.yaml` already, add the entry of `trivy/vex/repository.yaml` to it
instead of copying that: the first repository that knows a package decides. Where `XDG_DATA_HOME` is set,
Trivy looks there and not in the home.

Without a web server, into the cache folder `CACHE` of Trivy, in which the databases are already:

```
";

const VEX_COMMANDS: &str = "
SETTINGS=\"${XDG_DATA_HOME:-$HOME}/.trivy/vex\"
mkdir -p \"$CACHE/vex/repositories\" \"$SETTINGS\"
tar -xzf trivy/vex/vex-repository.tar.gz -C \"$CACHE/vex/repositories\"
install -m 644 trivy/vex/repository.yaml \"$SETTINGS/repository.yaml\"
trivy image --cache-dir \"$CACHE\" --skip-db-update --skip-java-db-update --offline-scan \\
  --vex repo --skip-vex-repo-update --show-suppressed IMAGE
```
";

const VEX_SERVED: &str = "
From a web server at the address that `repository.yaml` names, with these files under it:

```
.well-known/vex-repository.json   trivy/vex/vex-repository.json
vex-repository.tar.gz             trivy/vex/vex-repository.tar.gz
```

Then `trivy vex repo download`, and scan with `--vex repo`.
";

const VEX_NOT_SERVED: &str = "
From a web server: put its address in place of `https://vex.invalid` in copies of `repository.yaml`
and `vex-repository.json` (or name it in the profile, `trivy.vex-url`), and serve under it:

```
.well-known/vex-repository.json   the changed trivy/vex/vex-repository.json
vex-repository.tar.gz             trivy/vex/vex-repository.tar.gz
```

Then `trivy vex repo download`, and scan with `--vex repo`.
";

fn redaction(facts: &Facts<'_>) -> String {
    match facts.redaction.digest {
        None if !facts.carries_records => "none; no document is carried.".to_owned(),
        None => "none; documents are carried as they were received, in canonical form.".to_owned(),
        Some(_) => format!(
            "rules `{}`; {} values redacted, {} records left out because the rules cannot read their format.",
            Safe(&facts.redaction.name),
            facts.redacted_values,
            facts.left_out
        ),
    }
}

/// `NOTICE.md`: licences, attributions, and what was changed.
#[must_use]
pub fn notice(facts: &Facts<'_>) -> String {
    let verb = if facts.carries_records { "carries" } else { "is made of" };
    let mut text = format!("# Notices\n\nThis bundle {verb} records of these feeds.\n");
    for feed in facts.feeds {
        let _ = write!(text, "\n## {}\n\n", feed.feed);
        let told = |value: &Option<String>| match value {
            Some(value) => Safe(value).to_string(),
            None => "not told".to_owned(),
        };
        let _ = writeln!(text, "- Publisher: {}", told(&feed.publisher));
        let _ = writeln!(text, "- Licence: {}", told(&feed.licence));
        let _ = writeln!(text, "- Attribution: {}", told(&feed.attribution));
        let redistribution = match feed.redistribution {
            Some(true) => "allowed",
            Some(false) => "not allowed",
            None => "not told",
        };
        let _ = writeln!(text, "- Redistribution: {redistribution}");
    }
    text.push_str("\n## Changes\n");
    if facts.carries_records {
        text.push_str(CARRIED);
    }
    if !facts.databases.is_empty() || facts.vex.is_some() {
        text.push_str(MADE);
    }
    let _ = writeln!(text, "\nRedaction: {}", redaction(facts));
    text
}

const CARRIED: &str = "
JSON documents are carried in canonical form: the order of members, the escapes of strings and white
space differ from the publisher's files, values do not. Other documents are carried byte for byte.
Scanner reports are cut into one document a finding.
";

const MADE: &str = "
What is in `trivy/` is made of the records: it has their identities, versions, scores and texts in the
form that the scanner reads, joined with those of other records, and leaves out what the scanner cannot
be told. The manifest counts what is left out.
";

/// `SHA256SUMS` over the given parts, sorted by path, for `sha256sum -c`.
#[must_use]
pub fn sha256sums(parts: &[PartEntry]) -> String {
    let mut text = String::new();
    for part in parts.iter().filter(|part| part.path.as_str() != layout::SHA256SUMS) {
        let _ = writeln!(text, "{}  {}", part.digest.sha256, part.path);
    }
    text
}
