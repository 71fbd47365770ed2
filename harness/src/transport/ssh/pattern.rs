//! The patterns of ssh's files: `*` for anything, `?` for any one character, `!` before what is not meant.

use wildmatch::WildMatch;

/// Whether `text` is what one pattern stands for.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    WildMatch::new(pattern).matches(text)
}

/// Whether a list of patterns, separated by commas, stands for `text`: one has to match, and no negated one may.
pub(super) fn list_matches(list: &str, text: &str) -> bool {
    any(list.split(','), text)
}

/// The same for patterns that are given one by one.
pub(super) fn any<'a>(patterns: impl IntoIterator<Item = &'a str>, text: &str) -> bool {
    let mut matched = false;
    for pattern in patterns {
        match pattern.strip_prefix('!') {
            Some(negated) if matches(negated, text) => return false,
            Some(_) => {}
            None => matched |= matches(pattern, text),
        }
    }
    matched
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_may_stand_for_nothing_and_for_much() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("a*b*c", "abc", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b", "abX", false),
            ("?", "", false),
            ("[a]:22", "[a]:22", true),
            ("**", "x", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn a_negated_pattern_wins_wherever_it_stands_and_matches_nothing_alone() {
        assert!(list_matches("!b,a*", "ab"));
        assert!(!list_matches("a*,!ab", "ab"));
        assert!(!list_matches("!ab,a*", "ab"));
        assert!(!list_matches("!b", "ab"));
    }
}
