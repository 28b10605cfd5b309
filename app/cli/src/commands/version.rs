//! `version`: what this build is and what it reads and writes.

use serde_json::json;
use stella_model::PRODUCT_VERSION;
use stella_plan::run_plan::FORMAT_VERSION;

use super::Exit;
use crate::context::Context;
use crate::error::Failure;
use crate::output::{Item, Page};

/// Prints the version.
pub(crate) fn run(context: &Context) -> Result<Exit, Failure> {
    let target = format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS);
    let text = format!(
        "stella {PRODUCT_VERSION}\n  bundle format  {FORMAT_VERSION}\n  target         {target}"
    );
    let value = json!({"version": PRODUCT_VERSION, "bundleFormatVersion": FORMAT_VERSION, "target": target});
    let item = Item { name: "stella".to_owned(), id: PRODUCT_VERSION.to_owned(), value };
    context.print(&Page::one("Version", item).text(text))?;
    Ok(Exit::Done)
}
