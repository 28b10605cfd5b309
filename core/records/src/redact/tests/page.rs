//! The page about redaction.

use super::*;

/// What the page about redaction says of the tables.
fn documented() -> [(&'static str, String); 2] {
    let mut allow = String::new();
    for format in Format::ALL {
        let Some(lines) = tables::of(*format) else { continue };
        // CSAF's two formats share one list.
        if *format == Format::CsafVex {
            continue;
        }
        let name = match format {
            Format::CsafAdvisory => "csaf-advisory and csaf-vex",
            other => other.as_str(),
        };
        allow += &format!("\n### {name}\n\n| type | members |\n| --- | --- |\n");
        for line in &lines {
            let (object, members) = line.split_once(": ").expect("`Type: members`");
            let members: Vec<String> =
                members.split_ascii_whitespace().map(|member| format!("`{member}`")).collect();
            allow += &format!("| {object} | {} |\n", members.join(" "));
        }
    }
    let list = |what: &str, words: &[&str]| {
        let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
        format!("- **{what}**: {}\n", words.join(" "))
    };
    let deny = [
        list("Role mailboxes, whatever the domain", mail::ROLES),
        list("Roles wherever the word stands in the local part", mail::ROLE_MARKS),
        list(
            "Roles when the local part begins or ends with the word and a hyphen",
            mail::ROLE_WORDS,
        ),
        list("Domains without persons", mail::IMPERSONAL_DOMAINS),
        list("First labels of list servers", mail::LIST_LABELS),
        list("Mail archives", mail::MAIL_ARCHIVES),
        list("Private suffixes", address::PRIVATE_SUFFIXES),
        list("Home folders of no person", home::SYSTEM_USERS),
        list("Name spaces of CycloneDX properties that are carried", tables::PROPERTY_PREFIXES),
    ];
    [("allow-lists", allow), ("deny-lists", deny.concat())]
}

/// `STELLA_UPDATE_DOCS=1` writes the page instead.
#[test]
#[expect(clippy::disallowed_methods, reason = "a test reads and writes the page")]
fn the_page_about_redaction_is_current() {
    let path =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/modules/export-center/redaction.md");
    let page = std::fs::read_to_string(path).expect("the page about redaction");
    let mut current = page.clone();
    for (name, text) in documented() {
        let begin = format!("<!-- {name}: begin (generated) -->\n");
        let end = format!("<!-- {name}: end -->");
        let from = current.find(&begin).expect("the beginning of the lists") + begin.len();
        let to = current.find(&end).expect("the end of the lists");
        current.replace_range(from..to, &format!("{text}\n"));
    }
    if std::env::var_os("STELLA_UPDATE_DOCS").is_some() {
        std::fs::write(path, &current).expect("the page can be written");
    } else {
        assert_eq!(page, current, "run this test with STELLA_UPDATE_DOCS=1");
    }
}

/// Formats and rule ids that the page names are those that there are.
#[test]
fn the_page_names_every_rule_and_format() {
    let page = include_str!("../../../../../docs/modules/export-center/redaction.md");
    for (rule, _) in secret::STANDARD {
        assert!(page.contains(&format!("| `{rule}` |")), "{rule}");
    }
    for rule in ["email", "url-credentials", "home-path"] {
        assert!(page.contains(&format!("| `{rule}` |")), "{rule}");
    }
    for rule in [walk::ALLOW_LIST, walk::ENCODED_CONTENT, "not-redactable"] {
        assert!(page.contains(&format!("`{rule}`")), "{rule}");
    }
    for format in Format::ALL.iter().filter(|format| format.is_json()) {
        assert!(page.contains(&format!("`{format}`")), "{format}");
    }
    let toml = page.split("```toml\n").nth(1).and_then(|text| text.split("```").next());
    RuleSet::from_toml(toml.expect("an example")).expect("rules");
}
