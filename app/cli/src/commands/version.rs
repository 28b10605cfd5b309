//! `version`: what this build is and what it reads and writes.

use serde_json::json;
use stella_engine::adapter_specs;
use stella_model::PRODUCT_VERSION;
use stella_plan::run_plan::FORMAT_VERSION;
use stella_records::Format;

use super::Exit;
use crate::context::Context;
use crate::error::Failure;
use crate::output::{Item, Page};

/// Prints the version.
pub(crate) fn run(context: &Context) -> Result<Exit, Failure> {
    let target = format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS);
    let outputs: Vec<&str> = adapter_specs().iter().map(|spec| spec.id).collect();
    let evidence: Vec<&str> = Format::ALL.iter().map(|format| format.as_str()).collect();
    let text = format!(
        "stella {PRODUCT_VERSION}\n  bundle format  {FORMAT_VERSION}\n  outputs        {}\n  \
         evidence       {}\n  target         {target}",
        outputs.join(", "),
        evidence.join(", "),
    );
    let value = json!({
        "version": PRODUCT_VERSION,
        "bundleFormatVersion": FORMAT_VERSION,
        "outputs": outputs,
        "evidence": evidence,
        "target": target,
    });
    let item = Item { name: "stella".to_owned(), id: PRODUCT_VERSION.to_owned(), value };
    context.print(&Page::one("Version", item).text(text))?;
    Ok(Exit::Done)
}
