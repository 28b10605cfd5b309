//! How soon the interface answers while many ask.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::Result;

use super::LASTS;
use super::load::{Shape, drive};
use super::place::Place;

/// What is asked for.
const PATHS: [(&str, &str); 5] = [
    ("a run", "/runs/r-1"),
    ("the newest runs", "/runs"),
    ("the manifest", "/runs/r-1/manifest"),
    ("the feeds", "/feeds"),
    ("the profiles", "/profiles"),
];

/// Asks for each of them with 1 and 16 connections.
///
/// # Errors
/// If a request is not answered.
pub(super) fn measure(place: &Place, page: &mut String) -> Result<()> {
    let server = place.serve(&[])?;
    page.push_str("| read | connections | requests/s | p50 ms | p99 ms | CPU ms per request |\n");
    page.push_str("| --- | ---: | ---: | ---: | ---: | ---: |\n");
    for (title, path) in PATHS {
        for connections in [1, 16] {
            let target = place.target(&server, path);
            let before = server.cpu();
            let load = drive(&target, connections, LASTS, Shape::Whole)?;
            let cpu = (server.cpu() - before) * 1e3 / load.requests.max(1) as f64;
            let ms = |time: Duration| time.as_secs_f64() * 1e3;
            let _ = writeln!(
                page,
                "| {title} | {connections} | {:.0} | {:.2} | {:.2} | {cpu:.2} |",
                load.requests as f64 / load.seconds,
                ms(load.within(0.5)),
                ms(load.within(0.99)),
            );
        }
    }
    page.push('\n');
    Ok(())
}
