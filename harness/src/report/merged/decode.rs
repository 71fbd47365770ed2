//! The text of a report: decoded from whatever it is written in, with what XML does not allow put so that no parser stumbles.

use std::fmt::Write as _;

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

/// Characters of control are moved up here for the parser, and back afterwards: our reports clean them as all other text.
const HIDDEN: u32 = 0xf700;
/// How far into a file its encoding is declared.
const DECLARATION: usize = 256;

/// The text, which a parser of XML takes.
pub(super) fn text(bytes: &[u8]) -> Result<String, String> {
    let (text, _, _) = encoding(bytes).decode(bytes);
    let text = text.trim_start();
    if text.is_empty() {
        return Err("it is empty".to_owned());
    }
    mended(text)
}

/// What was hidden from the parser, as it was.
pub(super) fn shown(text: &str) -> String {
    let back = |char: char| match u32::from(char).checked_sub(HIDDEN) {
        Some(control @ 0..0x20) => char::from_u32(control).unwrap_or(char),
        _ => char,
    };
    text.chars().map(back).collect()
}

fn encoding(bytes: &[u8]) -> &'static Encoding {
    if let Some((found, _)) = Encoding::for_bom(bytes) {
        return found;
    }
    match bytes {
        [b'<', 0, ..] => return UTF_16LE,
        [0, b'<', ..] => return UTF_16BE,
        _ => {}
    }
    let start = String::from_utf8_lossy(&bytes[..bytes.len().min(DECLARATION)]);
    let declared = start.split_once("?>").and_then(|(declaration, _)| declaration.split_once("encoding"));
    let value = declared.and_then(|(_, rest)| {
        let rest = rest.trim_start().strip_prefix('=')?.trim_start();
        let quote = rest.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
        rest[1..].split(quote).next()
    });
    let named = value.and_then(|name| Encoding::for_label(name.trim().as_bytes()));
    // What can be read as ASCII until here is no UTF-16, whatever it says.
    named.filter(|encoding| encoding.is_ascii_compatible()).unwrap_or(UTF_8)
}

/// Where in the document a piece of text stands.
enum Place {
    /// Among tags: `&` begins a reference.
    Markup,
    /// Until this is met, as it stands.
    Until(&'static str),
}

fn mended(text: &str) -> Result<String, String> {
    let mut mended = String::with_capacity(text.len());
    let (mut rest, mut place) = (text, Place::Markup);
    while let Some(char) = rest.chars().next() {
        match place {
            Place::Until(end) if rest.starts_with(end) => place = Place::Markup,
            Place::Markup if rest.starts_with("<![CDATA[") => place = Place::Until("]]>"),
            Place::Markup if rest.starts_with("<!--") => place = Place::Until("-->"),
            Place::Markup if rest.starts_with("<!ENTITY") => {
                return Err("it declares entities of its own, which no report needs".to_owned());
            }
            Place::Markup if char == '&' => {
                rest = reference(rest, &mut mended);
                continue;
            }
            _ => {}
        }
        mended.push(allowed(char));
        rest = &rest[char.len_utf8()..];
    }
    Ok(mended)
}

/// What stands for a character in XML 1.0.
fn allowed(char: char) -> char {
    match char {
        '\t' | '\n' | '\r' => char,
        '\0'..='\u{1f}' => char::from_u32(HIDDEN + u32::from(char)).unwrap_or(char::REPLACEMENT_CHARACTER),
        '\u{fffe}' | '\u{ffff}' => char::REPLACEMENT_CHARACTER,
        char => char,
    }
}

/// Takes what begins with `&`, and gives what is behind it: what is no reference is text.
fn reference<'a>(rest: &'a str, mended: &mut String) -> &'a str {
    let (name, after) = match rest[1..].split_once(';') {
        Some((name, after)) if name.len() <= 32 => (name, after),
        _ => ("", &rest[1..]),
    };
    if matches!(name, "lt" | "gt" | "amp" | "quot" | "apos") {
        mended.extend(["&", name, ";"]);
        return after;
    }
    let number = name.strip_prefix('#').and_then(|number| match number.strip_prefix(['x', 'X']) {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => number.parse().ok(),
    });
    if let Some(number) = number {
        let char = allowed(char::from_u32(number).unwrap_or(char::REPLACEMENT_CHARACTER));
        let _ = write!(mended, "&#{};", u32::from(char));
        return after;
    }
    mended.push_str("&amp;");
    &rest[1..]
}
