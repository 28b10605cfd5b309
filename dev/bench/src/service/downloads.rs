//! Bundles fetched by many clients at once, beside nginx with the same tar as a file.

use std::fmt::Write as _;

use anyhow::Result;

use super::LASTS;
use super::bundle::{Bundle, PATH};
use super::load::{Load, Shape, Target, drive};
use super::process::{Process, nginx};
use crate::report::Goal;

/// Bytes of a range.
const RANGE: u64 = 1 << 20;

/// How often each load is measured, in turns.
const TURNS: usize = 3;

/// A load, and what of nginx's figures ours is to be.
struct Case {
    title: &'static str,
    connections: usize,
    is_whole: bool,
    is_tls: bool,
    /// Throughput, at least.
    speed: Option<f64>,
    /// CPU for each byte, at most.
    cpu: Option<f64>,
}

const fn case(title: &'static str, connections: usize, is_whole: bool) -> Case {
    let speed = Some(if is_whole { 0.9 } else { 0.8 });
    Case { title, connections, is_whole, is_tls: false, speed, cpu: Some(2.5) }
}

const CASES: [Case; 7] = [
    case("the whole bundle, 1 connection", 1, true),
    case("the whole bundle, 8 connections", 8, true),
    case("the whole bundle, 64 connections", 64, true),
    case("ranges of 1 MiB, 1 connection", 1, false),
    case("ranges of 1 MiB, 8 connections", 8, false),
    case("ranges of 1 MiB, 64 connections", 64, false),
    Case {
        title: "the whole bundle with TLS, 8 connections",
        connections: 8,
        is_whole: true,
        is_tls: true,
        speed: None,
        cpu: Some(1.3),
    },
];

/// What one server did.
struct Figure {
    load: Load,
    /// CPU-seconds of the server.
    cpu: f64,
}

impl Figure {
    fn speed(&self) -> f64 {
        self.load.bytes as f64 / self.load.seconds
    }

    fn cpu_per_gib(&self) -> f64 {
        self.cpu / (self.load.bytes as f64 / f64::from(1 << 30))
    }
}

/// Measures every case.
///
/// # Errors
/// If a server does not start, or a request is not answered.
pub(super) fn measure(bundle: &Bundle, page: &mut String) -> Result<()> {
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let keys = (bundle.certificate.as_path(), bundle.key.as_path());
    let (shown, secret) = (keys.0.to_string_lossy(), keys.1.to_string_lossy());
    let with_tls = ["--tls-cert", &*shown, "--tls-key", &*secret];
    let _ = writeln!(
        page,
        "The bundle of {:.1} MB, fetched for {} s at a time by clients on the same machine; the one in \
         the middle of {TURNS} by speed.\n",
        bundle.size as f64 / 1e6,
        LASTS.as_secs()
    );
    page.push_str("| fetched | server | MB/s | requests/s | CPU s per GiB | against nginx |\n");
    page.push_str("| --- | --- | ---: | ---: | ---: | --- |\n");
    for case in &CASES {
        let theirs = nginx(&bundle.files, port, case.is_tls.then_some(keys))?;
        let ours = bundle.place.serve(if case.is_tls { &with_tls } else { &[] })?;
        let tls = if case.is_tls { Some(bundle.tls()?) } else { None };
        let of_nginx = Target {
            address: theirs.address.clone(),
            path: "/bundle.tar".to_owned(),
            head: String::new(),
            tls: tls.clone(),
        };
        let of_us = Target { tls, ..bundle.place.target(&ours, PATH) };
        let (mut they, mut we) = (Vec::new(), Vec::new());
        for _ in 0..TURNS {
            they.push(once(case, bundle.size, &theirs, &of_nginx)?);
            we.push(once(case, bundle.size, &ours, &of_us)?);
        }
        let (they, we) = (middle(they), middle(we));
        let speed = case.speed.map(|wanted| {
            Goal::at_least("times its speed", we.speed() / they.speed(), wanted).show()
        });
        let cpu = case.cpu.map(|wanted| {
            let measured = we.cpu_per_gib() / they.cpu_per_gib().max(0.001);
            Goal::at_most("of its CPU", measured, wanted).show()
        });
        let remarks: Vec<String> = speed.into_iter().chain(cpu).collect();
        row(page, case, "nginx", &they, "");
        row(page, case, "export-center", &we, &remarks.join("; "));
    }
    page.push('\n');
    Ok(())
}

fn once(case: &Case, size: u64, server: &Process, target: &Target) -> Result<Figure> {
    let shape = if case.is_whole { Shape::Whole } else { Shape::Ranges { bytes: RANGE, of: size } };
    let before = server.cpu();
    let load = drive(target, case.connections, LASTS, shape)?;
    Ok(Figure { load, cpu: server.cpu() - before })
}

fn middle(mut figures: Vec<Figure>) -> Figure {
    figures.sort_by(|a, b| a.speed().total_cmp(&b.speed()));
    figures.swap_remove(figures.len() / 2)
}

fn row(page: &mut String, case: &Case, server: &str, figure: &Figure, remark: &str) {
    let requests = figure.load.requests as f64 / figure.load.seconds;
    let _ = writeln!(
        page,
        "| {} | {server} | {:.0} | {requests:.0} | {:.2} | {remark} |",
        case.title,
        figure.speed() / 1e6,
        figure.cpu_per_gib()
    );
}
