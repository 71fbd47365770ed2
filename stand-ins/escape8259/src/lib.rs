//! Text escaped as the inside of a JSON string (RFC 8259): the one function of the crate `escape8259` that libtest-mimic
//! calls, written anew. Cargo.toml says when it can go.
#![warn(missing_docs)]

use std::fmt::Write as _;

/// `text` as it stands between the quotes of a JSON string.
pub fn escape(text: impl AsRef<str>) -> String {
    let text = text.as_ref();
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' => escaped.push_str("\\\""),
            '\\' => escaped.push_str("\\\\"),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            control if u32::from(control) < 0x20 => {
                let _ = write!(escaped, "\\u{:04x}", u32::from(control));
            }
            plain => escaped.push(plain),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_json_reserves_is_escaped() {
        assert_eq!(super::escape("a\"b\\c\nd\te\u{1}ü"), "a\\\"b\\\\c\\nd\\te\\u0001ü");
    }
}
