//! A token of a test's own: SoftHSM in a temporary folder, keys made in it by OpenSC.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::install::output;
use crate::program;

/// Where Debian lays the module.
const MODULES: [&str; 2] =
    ["/usr/lib/softhsm/libsofthsm2.so", "/usr/local/lib/softhsm/libsofthsm2.so"];

/// A folder of tokens. Who speaks to them needs [`SoftHsm::VARIABLE`] in the environment.
pub struct SoftHsm {
    folder: tempfile::TempDir,
    util: PathBuf,
    pkcs11_tool: PathBuf,
    module: PathBuf,
}

impl SoftHsm {
    /// The variable that names the configuration.
    pub const VARIABLE: &str = "SOFTHSM2_CONF";
    /// The PIN of every token.
    pub const PIN: &str = "271828";

    /// An empty folder of tokens; `None` means that the test is skipped and has said so.
    ///
    /// # Panics
    /// As [`stella_testkit::skip`] does.
    #[must_use]
    pub fn start() -> Option<SoftHsm> {
        let util = program("softhsm2-util", "")?;
        let pkcs11_tool = program("opensc-tool", "")?.with_file_name("pkcs11-tool");
        let module = MODULES.iter().map(PathBuf::from).find(|module| module.is_file());
        let Some(module) = module else {
            stella_testkit::skip("the module of SoftHSM is missing: install libsofthsm2");
            return None;
        };
        let folder = tempfile::Builder::new().prefix("stella-softhsm-").tempdir();
        let folder = folder.expect("a temporary folder");
        fs::create_dir(folder.path().join("tokens")).expect("a writable folder");
        let settings = format!(
            "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
            folder.path().join("tokens").display()
        );
        fs::write(folder.path().join("softhsm2.conf"), settings).expect("a writable folder");
        Some(SoftHsm { folder, util, pkcs11_tool, module })
    }

    /// The module.
    #[must_use]
    pub fn module(&self) -> &Path {
        &self.module
    }

    /// The value of [`SoftHsm::VARIABLE`].
    #[must_use]
    pub fn settings(&self) -> PathBuf {
        self.folder.path().join("softhsm2.conf")
    }

    /// Makes a token.
    ///
    /// # Panics
    /// If it cannot be made.
    pub fn token(&self, label: &str) {
        let mut make = self.command(&self.util);
        make.args(["--init-token", "--free", "--label", label, "--so-pin", "31415926"]);
        output(make.args(["--pin", Self::PIN])).expect("a new token");
    }

    /// Makes a key pair of a kind that OpenSC names, such as `EC:prime256v1`.
    ///
    /// # Panics
    /// If it cannot be made.
    pub fn key(&self, token: &str, kind: &str, label: &str, id: &str) {
        let make =
            ["--keypairgen", "--key-type", kind, "--usage-sign", "--label", label, "--id", id];
        self.pkcs11_tool(token, &make);
    }

    /// Removes both halves of a key.
    ///
    /// # Panics
    /// If there is none.
    pub fn remove(&self, token: &str, label: &str) {
        for half in ["privkey", "pubkey"] {
            self.pkcs11_tool(token, &["--delete-object", "--type", half, "--label", label]);
        }
    }

    /// What pkcs11-tool prints, logged in to a token.
    ///
    /// # Panics
    /// If it fails.
    pub fn pkcs11_tool(&self, token: &str, arguments: &[&str]) -> String {
        let mut tool = self.command(&self.pkcs11_tool);
        tool.arg("--module").arg(&self.module).args(["--token-label", token, "--login"]);
        output(tool.args(["--pin", Self::PIN]).args(arguments)).expect("pkcs11-tool")
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env(Self::VARIABLE, self.settings());
        command
    }
}
