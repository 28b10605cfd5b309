//! Packages of other Debian suites, without touching the system's own sources.
//!
//! apt gets a root of its own with one source line per suite. The mirror is the one the system
//! uses, and the archive keyring of the system proves what comes from it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::install::{output, run};

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// A private apt root that knows some suites.
pub(crate) struct AptRoot {
    folder: tempfile::TempDir,
}

impl AptRoot {
    /// Reads the package lists of suites.
    pub(crate) fn with(suites: &[&str]) -> Result<AptRoot> {
        if !Path::new(KEYRING).is_file() {
            bail!("there is no {KEYRING} (package debian-archive-keyring)");
        }
        let mirror = mirror()?;
        let folder = tempfile::Builder::new().prefix("stella-apt-").tempdir()?;
        let root = AptRoot { folder };
        for part in ["lists/partial", "cache/archives/partial", "download"] {
            fs::create_dir_all(root.path(part))?;
        }
        fs::write(root.path("status"), "")?;
        let line = |suite: &&str| format!("deb [signed-by={KEYRING}] {mirror} {suite} main\n");
        fs::write(root.path("sources.list"), suites.iter().map(line).collect::<String>())?;
        run(root.apt().arg("update")).context("reading the package lists of other suites")?;
        Ok(root)
    }

    /// Fetches a package of a suite; the file of the package.
    pub(crate) fn download(&self, package: &str, suite: &str) -> Result<PathBuf> {
        let folder = tempfile::Builder::new().tempdir_in(self.path("download"))?.keep();
        let mut command = self.apt();
        run(command.current_dir(&folder).args(["download", &format!("{package}/{suite}")]))?;
        let mut files = fs::read_dir(&folder)?;
        let file = files.next().context("apt has downloaded nothing")??;
        Ok(file.path())
    }

    fn apt(&self) -> Command {
        let mut command = Command::new("apt-get");
        command.env("LC_ALL", "C").args([
            "-q",
            "-oAcquire::Languages=none",
            "-oAcquire::Retries=2",
        ]);
        // Its own user could not write into our folder.
        command.arg("-oAPT::Sandbox::User=");
        command.arg("-oDir::Etc::SourceParts=/dev/null");
        let places = [
            ("Dir::Etc::SourceList", "sources.list"),
            ("Dir::State::Lists", "lists"),
            ("Dir::State::status", "status"),
            ("Dir::Cache", "cache"),
        ];
        for (option, place) in places {
            command.arg(format!("-o{option}={}", self.path(place).display()));
        }
        command
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// The mirror from which the system takes Debian itself.
fn mirror() -> Result<String> {
    let format = "$(ORIGIN)|$(LABEL)|$(COMPONENT)|$(RELEASE)|$(SITE)";
    let mut command = Command::new("apt-get");
    let text = output(command.args(["indextargets", "--format", format, "Created-By: Packages"]))
        .context("asking apt for its mirror")?;
    choose_mirror(&text).context("apt has no source of Debian's main archive")
}

/// The site of the first main archive: a security archive or an update suite has only part of it.
fn choose_mirror(targets: &str) -> Option<String> {
    let rows = || {
        targets.lines().filter_map(|line| {
            let fields: Vec<&str> = line.splitn(5, '|').collect();
            let [origin, label, "main", release, site] = fields[..] else { return None };
            (!release.contains('-')).then_some((origin, label, site))
        })
    };
    // Where the lists were never fetched, apt prints the names of the two fields it cannot know.
    let named = rows().find(|row| (row.0, row.1) == ("Debian", "Debian"));
    named.or_else(|| rows().find(|row| row.0.starts_with("$("))).map(|row| row.2.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_is_that_of_the_main_archive() {
        let fetched = "Other|Other|main|stable|a:/x\n\
                       Debian|Debian-Security|main|old-security|b:/security\n\
                       Debian|Debian|main|old-updates|c:/debian\n\
                       Debian|Debian|main|old|d:/debian\n";
        assert_eq!(choose_mirror(fetched).as_deref(), Some("d:/debian"));
        let never = "$(ORIGIN)|$(LABEL)|main|old-security|b:/s\n$(ORIGIN)|$(LABEL)|main|old|d:/d\n";
        assert_eq!(choose_mirror(never).as_deref(), Some("d:/d"));
        assert_eq!(choose_mirror("Ubuntu|Ubuntu|main|noble|u:/u\n"), None);
        assert_eq!(choose_mirror(""), None);
    }
}
