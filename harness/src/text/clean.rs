//! Text that a node or a case made is untrusted: cleaned, it can steer neither a terminal, nor an XML parser, nor CI.
//!
//! | function | for | applied |
//! | --- | --- | --- |
//! | [`cut`] | nothing grows without bound | by the fold, to every text that it keeps |
//! | [`text`] | terminals and XML | to every text of `junit.xml` |
//! | [`one_line`] | attributes and table cells | where a text must stay on its line |
//! | [`log_line`] | what CI reads line by line | to every line on the terminal and in `summary.txt` |
//!
//! `events.ndjson` and the logs of `cases/` are evidence: they hold what came, uncleaned. Look at them with `less`.

use std::borrow::Cow;
use std::iter::Peekable;
use std::str::Chars;

pub use super::limits::LINE;

/// The first `most` bytes of a text, with a mark that says how much is missing.
pub fn cut(text: &str, most: usize) -> Cow<'_, str> {
    if text.len() <= most {
        return Cow::Borrowed(text);
    }
    let end = (0..=most).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    Cow::Owned(format!("{} … ({} bytes more)", &text[..end], text.len() - end))
}

/// The text without anything that a terminal or an XML parser takes for more than text.
///
/// Escape sequences go as a whole; one without an end loses its introducer only, so that nothing can be hidden
/// behind it. A carriage return alone becomes a line's end. What changes the direction of text is spelled out.
pub fn text(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    let mut rest = Rest { chars: text.chars().peekable(), has_no_end: false };
    while let Some(char) = rest.chars.next() {
        match char {
            '\x1b' => rest.skip_escape(),
            '\u{9b}' => rest.skip_control_sequence(),
            '\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}' => rest.skip_control_string(),
            '\r' if rest.chars.peek() == Some(&'\n') => {}
            '\r' | '\u{85}' | '\u{2028}' | '\u{2029}' => clean.push('\n'),
            '\u{fffe}' | '\u{ffff}' => clean.push('\u{fffd}'),
            _ if is_directional(char) => clean.extend(["<U+", &format!("{:04X}", u32::from(char)), ">"]),
            _ if is_plain(char) => clean.push(char),
            _ => {}
        }
        if char == '\n' {
            rest.has_no_end = false;
        }
    }
    Cow::Owned(clean)
}

/// The text on one line of about `most` bytes: line ends become `⏎`.
pub fn one_line(raw: &str, most: usize) -> String {
    joined(raw, most).trim_start().to_owned()
}

/// One line that no CI system takes for a command, with its indentation: see [`defused`].
pub fn log_line(raw: &str) -> String {
    defused(&joined(raw, LINE))
}

fn joined(raw: &str, most: usize) -> String {
    let short = cut(raw, most);
    let clean = text(&short);
    let lines: Vec<&str> = clean.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    lines.join(" ⏎ ").replace('\t', "    ")
}

/// Breaks, by one blank, what CI systems read as commands in a log:
///
/// - GitHub Actions: `::name::` at the start of a line; `##[name]` anywhere
/// - Azure Pipelines: `##vso[…]` and `##[…]` anywhere
/// - TeamCity: `##teamcity[…]` anywhere
/// - GitLab: `section_start:` and `section_end:` anywhere
fn defused(line: &str) -> String {
    let mut safe = String::with_capacity(line.len() + 8);
    let start = line.trim_start();
    let mut rest = if let Some(command) = start.strip_prefix("::") {
        safe.push_str(&line[..line.len() - start.len()]);
        safe.push_str(": :");
        command
    } else {
        line
    };
    while let Some(char) = rest.chars().next() {
        let (this, after) = rest.split_at(char.len_utf8());
        safe.push_str(this);
        let names_section = ["section_start:", "section_end:"].iter().any(|name| starts_with(rest, name));
        let bracket = || after.strip_prefix('#').map(|name| name.trim_start_matches(is_name));
        if char == '#' && bracket().is_some_and(|after| after.starts_with('[')) {
            safe.push(' ');
            rest = after;
        } else if names_section {
            let (name, after) = rest.split_at("section".len());
            safe.push_str(&name[1..]);
            safe.push(' ');
            rest = after;
        } else {
            rest = after;
        }
    }
    safe
}

fn starts_with(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

fn is_name(char: char) -> bool {
    char.is_ascii_alphanumeric() || char == '-' || char == '_'
}

/// Whether a character is shown as it is.
fn is_plain(char: char) -> bool {
    let is_space = matches!(char, '\n' | '\t');
    let is_line_end = matches!(char, '\u{2028}' | '\u{2029}');
    let is_no_character = matches!(char, '\u{fffe}' | '\u{ffff}');
    is_space
        || !(char.is_control()
            || is_line_end
            || is_no_character
            || is_directional(char)
            || is_invisible(char))
}

/// Whether a character takes no room: soft hyphen, joiners, marks of word and byte order, fillers, tags.
fn is_invisible(char: char) -> bool {
    matches!(
        char,
        '\u{ad}'
            | '\u{34f}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200d}'
            | '\u{2060}'..='\u{2065}'
            | '\u{206a}'..='\u{206f}'
            | '\u{3164}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

/// Whether a character changes the direction in which its neighbours are shown.
fn is_directional(char: char) -> bool {
    matches!(char, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// What is still to be read.
struct Rest<'a> {
    chars: Peekable<Chars<'a>>,
    /// No control string ends on this line any more: it need not be searched again.
    has_no_end: bool,
}

impl Rest<'_> {
    fn skip_escape(&mut self) {
        match self.chars.peek() {
            Some('[') => {
                self.chars.next();
                self.skip_control_sequence();
            }
            Some(']' | 'P' | 'X' | '^' | '_') => {
                self.chars.next();
                self.skip_control_string();
            }
            _ => {
                while self.chars.next_if(|char| (' '..='/').contains(char)).is_some() {}
                self.chars.next_if(|char| ('0'..='~').contains(char));
            }
        }
    }

    /// CSI: parameters, intermediates, one final byte.
    fn skip_control_sequence(&mut self) {
        while self.chars.next_if(|char| (' '..='?').contains(char)).is_some() {}
        self.chars.next_if(|char| ('@'..='~').contains(char));
    }

    /// OSC, DCS, SOS, PM, APC: up to BEL or ST on the same line. Where that is missing, the string stays as text.
    fn skip_control_string(&mut self) {
        if self.has_no_end {
            return;
        }
        let mut ahead = self.chars.clone();
        while let Some(char) = ahead.next() {
            let ends = match char {
                '\x07' | '\u{9c}' => true,
                '\x1b' => ahead.next_if_eq(&'\\').is_some(),
                '\n' => break,
                _ => false,
            };
            if ends {
                self.chars = ahead;
                return;
            }
        }
        self.has_no_end = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_steers_a_terminal_is_gone_and_what_says_something_stays() {
        for (raw, clean) in [
            ("plain ä 漢 🎉\n\tnext", "plain ä 漢 🎉\n\tnext"),
            ("\x1b[31mred\x1b[0m", "red"),
            ("\x1b[2J\x1b[1;1Hgone?", "gone?"),
            ("\x1b]0;title\x07text", "text"),
            ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
            ("\x1bP+q544e\x1b\\dcs", "dcs"),
            ("\x1b(0lqk\x1bcend", "lqkend"),
            ("\u{9b}31mred", "red"),
            ("\u{9d}0;title\u{9c}text", "text"),
            ("\x1b]0;never ends", "0;never ends"),
            ("\x1b]0;never ends\nnext line\x07", "0;never ends\nnext line"),
            ("nul\0 bell\x07 del\x7f back\x08", "nul bell del back"),
            ("a\r\nb\rc", "a\nb\nc"),
            ("50%\r100%\r\n", "50%\n100%\n"),
            ("a\u{202e}b\u{2066}c", "a<U+202E>b<U+2066>c"),
            ("zero\u{200b}width\u{feff}\u{2060}", "zerowidth"),
            ("tag\u{e0041}s", "tags"),
            ("not xml \u{fffe}\u{ffff}", "not xml \u{fffd}\u{fffd}"),
            ("line\u{2028}sep\u{85}next", "line\nsep\nnext"),
            ("\x1b", ""),
            ("\x1b[", ""),
        ] {
            assert_eq!(text(raw), clean, "{raw:?}");
        }
    }

    #[test]
    fn no_log_line_is_a_command_to_a_ci_system() {
        for (raw, clean) in [
            ("::set-output name=a::b", ": :set-output name=a::b"),
            ("   ::error file=x::y", "   : :error file=x::y"),
            ("std::vector is no command", "std::vector is no command"),
            ("##[group]Build", "# #[group]Build"),
            ("x ##vso[task.setvariable variable=a]b", "x # #vso[task.setvariable variable=a]b"),
            ("##VSO[task.complete]", "# #VSO[task.complete]"),
            ("####[error]", "### #[error]"),
            ("##teamcity[testFailed name='a']", "# #teamcity[testFailed name='a']"),
            ("##\x1b[0m[group]hidden", "# #[group]hidden"),
            ("#\u{200b}#[group]", "# #[group]"),
            (":\u{200b}:add-mask::x", ": :add-mask::x"),
            ("section_start:1700000000:step\r\x1b[0KTitle", "section _start:1700000000:step ⏎ Title"),
            ("SECTION_END:1:step", "SECTION _END:1:step"),
            ("## a heading, # a comment", "## a heading, # a comment"),
            ("two\nlines\n", "two ⏎ lines"),
            ("\t  indented", "      indented"),
        ] {
            assert_eq!(log_line(raw), clean, "{raw:?}");
        }
    }

    #[test]
    fn what_is_cut_says_how_much_is_missing_and_stays_text() {
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("äöü", 3), "ä … (4 bytes more)");
        let long = log_line(&"x".repeat(10 << 20));
        assert!(long.len() < LINE + 40 && long.ends_with("(10481664 bytes more)"), "{}", long.len());
    }

    #[test]
    fn text_made_to_be_slow_is_cleaned_in_linear_time() {
        // In quadratic time it would take hours.
        assert_eq!(text(&"\x1b]".repeat(1 << 20)), "");
    }

    /// Pieces that make up attacks, so that random texts come near them.
    fn hostile() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            "[#:\\[\\]a-z_ ]{0,4}",
            any::<char>().prop_map(String::from),
            proptest::sample::select(vec![
                "\x1b",
                "[",
                "]",
                "\x07",
                "\\",
                "\r",
                "\n",
                "##",
                "::",
                "section_start:",
                "##vso",
                "\u{9d}",
                "\u{202e}",
                "\u{200b}",
                "\0",
            ])
            .prop_map(String::from),
        ];
        proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn clean_text_has_only_plain_characters_and_stays_as_it_is(raw in hostile()) {
            let clean = text(&raw).into_owned();
            prop_assert!(clean.chars().all(is_plain), "{clean:?}");
            prop_assert_eq!(text(&clean).into_owned(), clean);
        }

        #[test]
        fn no_text_gets_a_command_through(raw in hostile()) {
            let line = log_line(&raw);
            let lower = line.to_lowercase();
            prop_assert!(!line.contains('\n'), "{line:?}");
            prop_assert!(!line.trim_start().starts_with("::"), "{line:?}");
            for command in ["##[", "##vso[", "##teamcity[", "section_start:", "section_end:"] {
                prop_assert!(!lower.contains(command), "{line:?}");
            }
        }
    }
}
