//! Rules of operators.

use super::*;

/// The rules of [`ACME`], compiled once.
pub(super) fn acme() -> RuleSet {
    static RULES: std::sync::OnceLock<RuleSet> = std::sync::OnceLock::new();
    RULES.get_or_init(|| RuleSet::from_toml(ACME).expect("rules")).clone()
}

const ACME: &str = r#"
name = "acme"
internal-domains = [".Acme.Example"]

[keep]
mailboxes = ["Ops@Acme.example"]
mail-domains = ["public.example"]
hosts = ["wiki.corp", "10.0.0.7", "www.acme.example"]
users = ["buildbot"]

[allow]
osv = ["/acme", "/database_specific/acme_score", "/affected/package/extra"]
cyclonedx-json = ["/components/properties"]

[[deny]]
id = "ticket"
pattern = 'ACME-[0-9]+'

[[deny]]
id = "customer"
pattern = '(?i)customer: (\w+)'
"#;

#[test]
fn operators_extend_the_standard_rules() {
    let rules = acme();
    assert_eq!(rules.name(), "acme");
    for (before, after) in [
        (
            "see ACME-123 of Customer: Initech",
            "see [redacted:ticket] of Customer: [redacted:customer]",
        ),
        (
            "https://git.acme.example/x git2.acme.example:22/y acme.example",
            "[redacted:internal-url] [redacted:internal-url] [redacted:internal-url]",
        ),
        (
            "notacme.example acme.examples https://www.acme.example/",
            "notacme.example acme.examples https://www.acme.example/",
        ),
        (
            "ops@acme.example jane@public.example jane@acme.example",
            "ops@acme.example jane@public.example [redacted:email]",
        ),
        (
            "http://wiki.corp/x http://a.wiki.corp/ http://10.0.0.7/ http://10.0.0.8/",
            "http://wiki.corp/x http://a.wiki.corp/ http://10.0.0.7/ [redacted:internal-url]",
        ),
        ("/home/BuildBot/x /home/jane/x", "/home/BuildBot/x /home/[redacted:home-path]/x"),
    ] {
        assert_eq!(text(&rules, before).0, after);
    }
    let json = r#"{"acme":{"x":["jane@example.com",{"ACME-1":1}]},"affected":[{"package":{"extra":[{}]}}],
        "database_specific":{"acme_score":1,"other":1},"id":"X"}"#;
    let (redacted, counts) = redact(&rules, Format::Osv, json);
    let expected = r#"{"acme":{"x":["[redacted:email]",{}]},"affected":[{"package":{"extra":[{}]}}],"database_specific":{"acme_score":1},"id":"X"}"#;
    assert_eq!(redacted.as_deref(), Some(expected));
    let counted = [("allow-list", 1), ("email", 1), ("ticket", 1)];
    assert_eq!(counts.rules, counted.map(|(rule, n)| (rule.to_owned(), n)).into());
}

#[test]
fn rules_that_extend_nothing_are_their_patterns_alone() {
    let toml = "name = \"own\"\nextends = \"none\"\n[[deny]]\nid = \"ticket\"\npattern = 'T-\\d+'";
    let rules = RuleSet::from_toml(toml).expect("rules");
    let json = r#"{"any":{"thing":"jane@example.com T-1"},"id":"X"}"#;
    let (redacted, _) = redact(&rules, Format::Osv, json);
    let expected = r#"{"any":{"thing":"jane@example.com [redacted:ticket]"},"id":"X"}"#;
    assert_eq!(redacted.as_deref(), Some(expected));
}

#[test]
fn faulty_rule_files_are_refused_by_name() {
    let many = |n: usize| {
        let rule = |i: usize| format!("[[deny]]\nid=\"r{i}\"\npattern=\"x{i}\"\n");
        format!("name=\"a\"\n{}", (0..n).map(rule).collect::<String>())
    };
    let deny = |pattern: &str| format!("name=\"a\"\n[[deny]]\nid=\"r\"\npattern='''{pattern}'''");
    let cases: &[(String, &str)] = &[
        ("name = ".to_owned(), "not a rule file"),
        (String::new(), "not a rule file"),
        ("name = \"a\"\nother = 1".to_owned(), "not a rule file"),
        ("name = \"a\"\nextends = \"strict\"".to_owned(), "not a rule file"),
        ("name = \"a\"\n[keep]\nmailbox = []".to_owned(), "not a rule file"),
        ("name = \"a\"\n[keep]\nhosts = [\"\"]".to_owned(), "an entry of a list is empty"),
        ("name = \"standard\"".to_owned(), "cannot name a rule set"),
        ("name = \"Acme\"".to_owned(), "cannot name a rule set"),
        (
            "name = \"a\"\n[[deny]]\nid = \"A\"\npattern = \"x\"".to_owned(),
            "cannot be the id of a rule",
        ),
        (deny("("), "cannot be compiled"),
        (deny("(?=x)"), "cannot be compiled"),
        (deny("(?:(?:(?:x{1000}){1000}){1000})"), "cannot be compiled"),
        (deny("x*"), "matches the empty text"),
        (deny(&"x".repeat(1025)), "a pattern is over the limit of 1024"),
        (many(257), "the list of patterns is over the limit of 256"),
        (format!("name=\"a\" #{}", "x".repeat(1 << 20)), "the file is over the limit"),
        ("name = \"a\"\n[allow]\nosv2 = []".to_owned(), "`osv2` is no format with an allow-list"),
        ("name = \"a\"\n[allow]\ncyclonedx-xml = []".to_owned(), "is no format with an allow-list"),
        ("name = \"a\"\n[allow]\nosv = [\"acme\"]".to_owned(), "written as /member/member"),
        ("name = \"a\"\n[allow]\nosv = [\"/a//b\"]".to_owned(), "written as /member/member"),
        ("name = \"a\"\n[allow]\nosv = [\"/details/x\"]".to_owned(), "`details` is no object"),
        (
            "name = \"a\"\nextends = \"none\"\ninternal-domains = [\"x\"]".to_owned(),
            "nothing they could extend",
        ),
    ];
    for (file, message) in cases {
        let error = RuleSet::from_toml(file).expect_err(message);
        assert!(error.to_string().contains(message), "{error} instead of {message}");
    }
}

#[test]
fn the_digest_is_that_of_the_effective_rules() {
    let digest = |toml: &str| RuleSet::from_toml(toml).expect("rules").digest();
    let standard = standard().digest();
    assert_eq!(digest("name = \"a\""), standard);
    assert_eq!(digest("name = \"b\"\nextends = \"standard\""), standard);
    let mut seen = vec![standard];
    for line in [
        "extends = \"none\"",
        "internal-domains = [\"a.example\"]",
        "[keep]\nusers = [\"x\"]",
        "[keep]\nhosts = [\"x\"]",
        "[allow]\nosv = [\"/acme\"]",
        "[[deny]]\nid = \"a\"\npattern = \"x\"",
        "[[deny]]\nid = \"a\"\npattern = \"y\"",
    ] {
        let one = digest(&format!("name = \"a\"\n{line}"));
        assert!(!seen.contains(&one), "{line}");
        seen.push(one);
    }
    // A change of this value changes bundles: raise RULES_VERSION where the tables do not show it.
    let pinned = "97cca4f8611391aa7be2db0923239131f317211018b5d84325307571413f345c";
    assert_eq!(standard.map(|digest| digest.to_string()).as_deref(), Some(pinned));
}
