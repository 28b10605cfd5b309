//! The published orders against facts of each ecosystem's specification and reference tests.

use std::cmp::Ordering;

use stella_versions::{MAX_VERSION_BYTES, Scheme, VersionError};

/// Each line is a chain: texts joined by `<` rise, by `=` are equal. Every pair is compared.
fn check_chains(scheme: Scheme, chains: &[&str]) {
    for chain in chains {
        let mut ranked: Vec<(usize, &str)> = Vec::new();
        for (rank, equals) in chain.split(" < ").enumerate() {
            ranked.extend(equals.split(" = ").map(|text| (rank, text)));
        }
        for (rank_a, a) in &ranked {
            for (rank_b, b) in &ranked {
                let order = scheme.compare(a, b);
                assert_eq!(order, Ok(rank_a.cmp(rank_b)), "{a:?} and {b:?} in {}", scheme.name());
            }
        }
    }
}

fn check_refused(scheme: Scheme, texts: &[&str]) {
    for text in texts {
        let read = scheme.parse(text);
        assert!(matches!(read, Err(VersionError::Malformed { .. })), "{text:?}: {read:?}");
    }
}

#[test]
fn semver_follows_semver_org() {
    check_chains(
        Scheme::SemVer,
        &[
            "1.0.0 < 2.0.0 < 2.1.0 < 2.1.1",
            "1.0.0-alpha < 1.0.0-alpha.1 < 1.0.0-alpha.beta < 1.0.0-beta < 1.0.0-beta.2 < 1.0.0-beta.11 < 1.0.0-rc.1 < 1.0.0",
            "1.0.0+a = 1.0.0+b.7 = 1.0.0",
            "1.0.0-1 < 1.0.0-2 < 1.0.0-10 < 1.0.0-- < 1.0.0-A < 1.0.0-a",
            "1.0.0-x-y-z.-- < 1.0.0",
            "1.9.0 < 1.10.0 < 1.11.0",
            "1.0.18446744073709551615 < 1.0.18446744073709551616 < 1.0.99999999999999999999999999",
            // Go: pseudo-versions are pre-releases, +incompatible is build metadata.
            "0.0.0-20190101000000-abcdef123456 < 0.0.0-20200101000000-000000000000 < 0.0.1",
            "1.2.3-pre < 1.2.3-pre.0.20200101000000-abcdef123456 < 1.2.3 < 1.2.4-0.20200101000000-abcdef123456 < 1.2.4",
            "2.0.0+incompatible = 2.0.0",
        ],
    );
    check_refused(
        Scheme::SemVer,
        &[
            "",
            "1",
            "1.2",
            "1.2.3.4",
            "v1.2.3",
            "01.2.3",
            "1.02.3",
            "1.2.3-01",
            "1.2.3-",
            "1.2.3+",
            "1.2.3-a..b",
            "1.2.3-a_b",
            "1.2.3+a+b",
            "1.2.3-é",
            " 1.2.3",
            "1.2.x",
            "-1.2.3",
            "1.2.3-a.",
            "alpha",
        ],
    );
}

#[test]
fn nuget_has_four_numbers_and_no_case() {
    check_chains(
        Scheme::NuGet,
        &[
            "1 = 1.0 = 1.0.0 = 1.0.0.0 = 01.00 < 1.0.0.1 < 1.0.1 < 1.1",
            "1.0.0-ALPHA = 1.0.0-alpha < 1.0.0-Beta < 1.0.0-rc < 1.0.0 = 1.0.0+build",
            "1.0.0-beta.2 < 1.0.0-beta.10 < 1.0.0-beta.a",
            "1.0.0.4-pre < 1.0.0.4",
        ],
    );
    check_refused(Scheme::NuGet, &["", "1.2.3.4.5", "1..2", "a", "1.0-", "1.0+", "1.x", "v1"]);
}

#[test]
fn pep440_follows_the_specification() {
    check_chains(
        Scheme::Pep440,
        &[
            "1.0.dev456 < 1.0a1 < 1.0a2.dev456 < 1.0a12.dev456 < 1.0a12 < 1.0b1.dev456 < 1.0b2 < 1.0b2.post345.dev456 < 1.0b2.post345 < 1.0b2-346 < 1.0rc1.dev456 < 1.0rc1 < 1.0 < 1.0+abc.5 < 1.0+abc.7 < 1.0+5 < 1.0.post456.dev34 < 1.0.post456 < 1.0.15 < 1.1.dev1 < 1.2 < 1.2+123abc < 1.2+123abc456 < 1.2+abc < 1.2+abc123 < 1.2+abc123def < 1.2+1234.abc < 1.2+123456 < 1.2.r32+123456 < 1.2.rev33+123456",
            "2024.1 < 1!1.0.dev456 < 1!1.0a1 < 1!1.0 < 1!1.0.post456",
            "1.0 = 1.0.0 = v1.0 = 1 = 01.0 = 0!1.0",
            "1.0a0 = 1.0a = 1.0-alpha = 1.0.ALPHA = 1.0_a_0 < 1.0b = 1.0beta < 1.0rc = 1.0c = 1.0pre = 1.0-preview",
            "1.0.post0 = 1.0.post = 1.0-0 = 1.0rev = 1.0.r0 < 1.0.post1 = 1.0-1",
            "1.0+ubuntu-1 = 1.0+ubuntu_1 = 1.0+UBUNTU.1",
            "1.0.99999999999999999999 < 1.0.100000000000000000000",
        ],
    );
    check_refused(
        Scheme::Pep440,
        &[
            "",
            "french toast",
            "1.0+a+",
            "1.0++",
            "1.0+_foobar",
            "1.0+foo&asd",
            "1.0+1+1",
            "1..0",
            "1.0.x",
            "!1.0",
            "1!",
            "1.0-",
            "1.0a1b1",
            "1.0dev1post1",
            "2004d",
            "é",
        ],
    );
}

#[test]
fn maven_follows_comparable_version() {
    check_chains(
        Scheme::Maven,
        &[
            "1-alpha2snapshot < 1-alpha2 < 1-alpha-123 < 1-beta-2 < 1-beta123 < 1-m2 < 1-m11 < 1-rc = 1-cr < 1-rc2 < 1-rc123 < 1-SNAPSHOT < 1 < 1-sp < 1-sp2 < 1-sp123 < 1-abc < 1-def < 1-pom-1 < 1-1-snapshot < 1-1 < 1-2 < 1-123",
            "2.0 < 2.0.a < 2-1 < 2.0.2 < 2.0.123 < 2.1.0 < 2.1-a < 2.1b < 2.1-c < 2.1-1 < 2.1.0.1 < 2.2 < 2.123 < 11.a2 < 11.a11 < 11.b2 < 11.b11 < 11.m2 < 11.m11 < 11 < 11.a < 11b < 11c < 11m",
            "1 = 1.0 = 1.0.0 = 1-0 = 1.0-0 = 1-ga = 1.ga = 1-FINAL = 1.release = 1ga",
            "1a1 = 1-alpha-1 = 1.0alpha1 < 1b2 = 1-beta-2 < 1m3 = 1-milestone-3 < 1",
            "1x = 1.0.0-x = 1.0x = 1-x < 1.0-1",
            "2.0-1 < 2.0.1 < 2.0.1-klm < 2.0.1-lmn < 2.0.1-xyz < 2.0.1-123 < 2.0.2",
            "6.1.0rc3 < 6.1.0 < 6.1H.5-beta",
            "20190126.230843 < 1234567890.12345 < 123456789012345.1H.5-beta < 12345678901234567890.1H.5-beta",
            "1-1.foo-bar1baz-.1 = 1-1.foo-bar-1-baz-0.1",
        ],
    );
    // A circle, as in Maven itself: the order is not transitive.
    let circle = [("0", "sp"), ("sp", "-alpha"), ("-alpha", "0")];
    for (a, b) in circle {
        assert_eq!(Scheme::Maven.compare(a, b), Ok(Ordering::Less), "{a:?} {b:?}");
    }
    for text in ["", "-", ".", "é-1.ü", "1-1-1-", "...", "--1"] {
        assert!(Scheme::Maven.parse(text).is_ok(), "{text:?}");
    }
}

#[test]
fn rubygems_follows_gem_version() {
    check_chains(
        Scheme::RubyGems,
        &[
            "1.0 = 1 = 1.0.0 = 1.00 < 1.1 < 1.8.2.b < 1.8.2 < 1.8.2.1",
            "1.8.2.a < 1.8.2.a9 < 1.8.2.a10 < 1.8.2.b < 1.8.2 < 2",
            "0.beta.1.a <  = 0 = 0.0 < 0.1",
            "5.0.0.rc2 < 5.0.0.rc10 < 5.0.0",
            "1.2.b1 = 1.2.b.1 < 1.2",
            "1.0.0-1 = 1.0.0.pre.1 < 1.0.0",
            "1.a = 1.0.a = 1.a.0 < 1",
            "1.9.3.alpha.5 < 1.9.3 < 1.9.4 < 1.99999999999999999999 < 2",
        ],
    );
    check_refused(
        Scheme::RubyGems,
        &[
            "junk",
            "1.0\n2.0",
            "1..2",
            "1.2 3.4",
            "2.3422222.222.222222222.22222.ads0as.dasd0.ddd2222.2.qd3e.",
            "1.",
            "1.0-",
            "v1",
        ],
    );
}

#[test]
fn deb_follows_policy_and_dpkg() {
    check_chains(
        Scheme::Deb,
        &[
            "1.0~~ < 1.0~~a < 1.0~ < 1.0 = 0:1.0 = 1.0-0 = 1.00 < 1.0a < 1.0+ < 1.0. < 1.0.1",
            "1.0~beta1~svn1245-1 < 1.0~beta1-1 < 1.0-1 < 1.0-1ubuntu1 < 1.0-1+b1 < 1.0-1.1 < 1.0-2 < 1:0.1",
            "7.6-0 < 7.6p2-4 < 7.7",
            "1.0.3-2 < 1.0.3-10 < 1.18.36-5.4-20",
            "9:1.18.36:5.4-20 < 10:0.5.1-1 < 10:0.6-0",
            "1.2.3-1~bpo12+1 < 1.2.3-1 < 1.2.3-1+deb12u1 < 1.2.3-1.1 < 1.2.4",
            "20230101120000000000000000 < 20230101120000000000000001",
            "3.0Z < 3.0a < 3.0aa < 3.0a.b",
        ],
    );
    check_refused(
        Scheme::Deb,
        &[
            "",
            "a1.0",
            "x:1.0",
            ":1.0",
            "1.0-",
            "1.0_1",
            "1.0 1",
            "1.0-1_2",
            "-1",
            "1:",
            "1.0é",
            "2147483648:1",
        ],
    );
}

#[test]
fn rpm_follows_rpmvercmp() {
    check_chains(
        Scheme::Rpm,
        &[
            "1.0 < 2.0 < 2.0.1 < 2.0.1a < 5.5p1 < 5.5p2 < 5.5p10 < 10xyz < 10.1xyz",
            "xyz < xyz10 < xyz10.1",
            "1.0a1 < 1.0aa < 1.0ab < 1.0.1",
            "2_0 = 2.0 = 2+0 = 2__0 = 2.00",
            "a = a+ = a_ < 1",
            "6.0 < 6.0.rc1",
            "10.0001 = 10.1 < 10.0039 = 10.39 < 10.1111",
            "4.999.9 < 5.0 < 20101121 < 20101122",
            "1.0~rc1~git123 < 1.0~rc1 < 1.0~rc2 < 1.0 < 1.0arc1",
            "1.0 < 1.0^ < 1.0^git1~pre < 1.0^git1 < 1.0^git2 < 1.0.1 < 1.01 = 1.1",
            "1.0 < 1.0^git1 < 1.0.1 < 1.0.1^git1",
            "1.0~rc1 < 1.0~rc1^git1 < 1.0",
            "FC5 < fc4 < fc5",
            "1.0-1 < 1.0-1.el9 < 1.0-1.el9_3 < 1.0-2 < 1.0-10 < 1:0.1-1",
            "0:1.0-1 = 1.0-1",
        ],
    );
    check_refused(
        Scheme::Rpm,
        &["", ":1", "x:1.0", "1.0-", "-1", "1.0-1-2", "1.0 1", "1.0é", "1:"],
    );
}

#[test]
fn apk_follows_apk_tools() {
    check_chains(
        Scheme::Apk,
        &[
            "1.0_alpha < 1.0_alpha1 < 1.0_alpha2 < 1.0_beta < 1.0_pre1 < 1.0_rc1 < 1.0 < 1.0_cvs1 < 1.0_svn1 < 1.0_git1 < 1.0_hg1 < 1.0_p1 < 1.0a < 1.0b < 1.0.0 < 1.1",
            "1.0-r0 < 1.0-r1 < 1.0-r9 < 1.0-r10 < 1.0_p1-r0",
            "1.0.001 < 1.0.01 < 1.0.1 < 1.0.9 < 1.0.10",
            "2 = 02 < 10 < 20230101120000000000000000 < 20230101120000000000000001",
            "1.0_rc1_p1-r0 < 1.0",
            "1.0~abc < 1.0~abd",
        ],
    );
    check_refused(
        Scheme::Apk,
        &[
            "",
            "a",
            "1.",
            "1.0-r",
            "1.0-1",
            "1.0-x1",
            "1.0_",
            "1.0_foo",
            "1.0A",
            "1.0aa",
            "1.0a.1",
            "1.0-r1-r2",
            "1.0_b1",
            "1.0~",
            "1.0~xyz",
            "1.0-r1_p1",
            " 1",
            "é",
        ],
    );
}

#[test]
fn versions_of_two_schemes_have_no_order() {
    let semver = Scheme::SemVer.parse("1.2.3").expect("a version");
    let nuget = Scheme::NuGet.parse("1.2.3").expect("a version");
    assert_eq!(semver.compare(&nuget), None);
}

#[test]
fn a_text_over_the_limit_is_refused_by_every_scheme() {
    let fits = "1".repeat(MAX_VERSION_BYTES);
    let long = "1".repeat(MAX_VERSION_BYTES + 1);
    for scheme in Scheme::ALL {
        assert_eq!(
            scheme.parse(&long).err(),
            Some(VersionError::TooLong { bytes: MAX_VERSION_BYTES + 1 }),
            "{}",
            scheme.name()
        );
        assert!(!matches!(scheme.parse(&fits), Err(VersionError::TooLong { .. })));
        assert_eq!(scheme.compare("1.0.0", "1.0.0").unwrap_or(Ordering::Less), Ordering::Equal);
    }
}
