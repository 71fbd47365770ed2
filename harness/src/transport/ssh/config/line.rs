//! One line of an ssh configuration, split as OpenSSH splits it.

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// In small letters: OpenSSH does not tell `HostName` from `hostname`.
    pub(super) keyword: String,
    /// All that follows, as it stands: some options take that.
    pub(super) rest: String,
    /// What follows, word by word, without quotes and comments; `None` where a quote is not closed.
    pub(super) words: Option<Vec<String>>,
}

impl Line {
    pub(super) fn parse(line: &str) -> Option<Self> {
        let line = line.trim_matches([' ', '\t', '\r', '\n', '\x0c']);
        if line.is_empty() || line.starts_with('#') {
            return None;
        }
        let (keyword, rest) = match line.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => line.split_at(line.find([' ', '\t', '=']).unwrap_or(line.len())),
        };
        // One equals sign may stand in place of the blanks, or among them.
        let rest = rest.trim_start_matches([' ', '\t']);
        let rest = rest.strip_prefix('=').unwrap_or(rest).trim_start_matches([' ', '\t']);
        Some(Self { keyword: keyword.to_ascii_lowercase(), rest: rest.to_owned(), words: split(rest) })
    }
}

/// OpenSSH's `argv_split`: quotes of both kinds, backslashes before quotes, backslashes and blanks, and a comment where a word
/// could begin.
fn split(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut chars = text.chars().peekable();
    loop {
        while chars.next_if(|c| matches!(c, ' ' | '\t')).is_some() {}
        if chars.peek().is_none_or(|c| *c == '#') {
            return Some(words);
        }
        let (mut word, mut quote) = (String::new(), None);
        while let Some(c) = chars.next() {
            match (c, quote) {
                ('\\', _) => {
                    let escaped = chars.next_if(|next| {
                        matches!(next, '\'' | '"' | '\\') || (quote.is_none() && *next == ' ')
                    });
                    word.push(escaped.unwrap_or('\\'));
                }
                (' ' | '\t', None) => break,
                ('"' | '\'', None) => quote = Some(c),
                (c, Some(open)) if c == open => quote = None,
                (c, _) => word.push(c),
            }
        }
        if quote.is_some() {
            return None;
        }
        words.push(word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_split_at_its_blanks_equals_signs_quotes_and_comments() {
        for (line, keyword, words) in [
            ("Host a b", "host", vec!["a", "b"]),
            ("  HostName=x", "hostname", vec!["x"]),
            ("Port = 22 # odd", "port", vec!["22"]),
            ("Port\t=22", "port", vec!["22"]),
            ("\"User\" me", "user", vec!["me"]),
            ("IdentityFile \"a b\" 'c d'", "identityfile", vec!["a b", "c d"]),
            (r"IdentityFile a\ b\\c\d", "identityfile", vec![r"a b\c\d"]),
            (r#"IdentityFile "a\"b\ c""#, "identityfile", vec![r#"a"b\ c"#]),
            ("IdentityFile key#1", "identityfile", vec!["key#1"]),
            ("User ''", "user", vec![""]),
            ("Host\r\n", "host", vec![]),
        ] {
            let parsed = Line::parse(line).unwrap();
            assert_eq!(
                (parsed.keyword.as_str(), parsed.words.unwrap()),
                (keyword, words.iter().map(ToString::to_string).collect()),
                "{line}"
            );
        }
        assert_eq!(Line::parse("User \"me").unwrap().words, None);
        assert_eq!(
            Line::parse("ProxyCommand sh -c \"it's # %h\"  \r\n").unwrap().rest,
            "sh -c \"it's # %h\""
        );
        for nothing in ["", "  ", "# Host a", "\t#"] {
            assert_eq!(Line::parse(nothing), None, "{nothing:?}");
        }
    }
}
