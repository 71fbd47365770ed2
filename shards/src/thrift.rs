//! Thrift's compact protocol, in which Parquet writes its headers and its footer
//! (github.com/apache/thrift, doc/specs/thrift-compact-protocol.md).

/// Numbers of the types in a field's or a list's header.
const I16: u8 = 4;
const I32: u8 = 5;
const I64: u8 = 6;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const STRUCT: u8 = 12;

/// Writes structs, field by field in the order of their numbers.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
    /// Number of the last field of each struct that is open.
    open: Vec<i16>,
}

impl Writer {
    /// Writes one struct.
    pub(crate) fn structure(fields: impl FnOnce(&mut Self)) -> Vec<u8> {
        let mut writer = Self::default();
        writer.body(fields);
        writer.bytes
    }

    fn body(&mut self, fields: impl FnOnce(&mut Self)) {
        self.open.push(0);
        fields(self);
        self.open.pop();
        self.bytes.push(0);
    }

    fn header(&mut self, field: i16, kind: u8) {
        let last = self.open.last_mut().expect("a field is written inside of a struct");
        let delta = field - *last;
        *last = field;
        if let Ok(delta @ 1..=15) = u8::try_from(delta) {
            self.bytes.push(delta << 4 | kind);
        } else {
            self.bytes.push(kind);
            self.varint(zigzag(i64::from(field)));
        }
    }

    fn varint(&mut self, value: u64) {
        varint(&mut self.bytes, value);
    }

    pub(crate) fn i32(&mut self, field: i16, value: i32) {
        self.header(field, I32);
        self.varint(zigzag(i64::from(value)));
    }

    pub(crate) fn i64(&mut self, field: i16, value: i64) {
        self.header(field, I64);
        self.varint(zigzag(value));
    }

    pub(crate) fn text(&mut self, field: i16, value: &str) {
        self.header(field, BINARY);
        self.bare_text(value);
    }

    fn bare_text(&mut self, value: &str) {
        self.varint(value.len() as u64);
        self.bytes.extend_from_slice(value.as_bytes());
    }

    pub(crate) fn inside(&mut self, field: i16, fields: impl FnOnce(&mut Self)) {
        self.header(field, STRUCT);
        self.body(fields);
    }

    fn list(&mut self, field: i16, kind: u8, length: usize) {
        self.header(field, LIST);
        if let Ok(length @ 0..15) = u8::try_from(length) {
            self.bytes.push(length << 4 | kind);
        } else {
            self.bytes.push(0xf0 | kind);
            self.varint(length as u64);
        }
    }

    pub(crate) fn i32s(&mut self, field: i16, values: &[i32]) {
        self.list(field, I32, values.len());
        for value in values {
            self.varint(zigzag(i64::from(*value)));
        }
    }

    pub(crate) fn texts(&mut self, field: i16, values: &[&str]) {
        self.list(field, BINARY, values.len());
        for value in values {
            self.bare_text(value);
        }
    }

    pub(crate) fn structs<T>(&mut self, field: i16, values: &[T], mut fields: impl FnMut(&mut Self, &T)) {
        self.list(field, STRUCT, values.len());
        for value in values {
            self.body(|writer| fields(writer, value));
        }
    }
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

/// Seven bits a byte, the lowest first.
pub(crate) fn varint(bytes: &mut Vec<u8>, mut value: u64) {
    loop {
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        if value == 0 {
            bytes.push(low & 0x7f);
            return;
        }
        bytes.push(low | 0x80);
    }
}

/// A value as it was read, without knowing what its fields are called.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Number(i64),
    Bytes(Vec<u8>),
    List(Vec<Value>),
    Struct(Vec<(i16, Value)>),
}

impl Value {
    pub(crate) fn field(&self, number: i16) -> Option<&Self> {
        match self {
            Self::Struct(fields) => fields.iter().find(|(field, _)| *field == number).map(|(_, value)| value),
            _ => None,
        }
    }

    pub(crate) fn number(&self, field: i16) -> Option<i64> {
        match self.field(field)? {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    pub(crate) fn text(&self, field: i16) -> Option<&str> {
        self.field(field)?.as_text()
    }

    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Bytes(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    pub(crate) fn list(&self, field: i16) -> &[Self] {
        match self.field(field) {
            Some(Self::List(values)) => values,
            _ => &[],
        }
    }
}

/// Structs within structs: Parquet has four levels.
const DEEPEST: usize = 16;

/// Reads one struct from the front of `bytes`, which are advanced; `None` where they are none.
pub(crate) fn read(bytes: &mut &[u8]) -> Option<Value> {
    structure(bytes, 0)
}

fn structure(bytes: &mut &[u8], depth: usize) -> Option<Value> {
    if depth > DEEPEST {
        return None;
    }
    let mut fields = Vec::new();
    let mut last = 0i16;
    loop {
        let header = take(bytes)?;
        if header == 0 {
            return Some(Value::Struct(fields));
        }
        let field = match header >> 4 {
            0 => i16::try_from(unzigzag(read_varint(bytes)?)).ok()?,
            delta => last.checked_add(i16::from(delta))?,
        };
        last = field;
        let value = match header & 0xf {
            1 => Value::Number(1),
            2 => Value::Number(0),
            kind => value(bytes, kind, depth)?,
        };
        fields.push((field, value));
    }
}

fn value(bytes: &mut &[u8], kind: u8, depth: usize) -> Option<Value> {
    match kind {
        // A boolean in a list, or a byte.
        1..=3 => Some(Value::Number(i64::from(take(bytes)?))),
        I16 | I32 | I64 => Some(Value::Number(unzigzag(read_varint(bytes)?))),
        BINARY => {
            let length = usize::try_from(read_varint(bytes)?).ok()?;
            let (text, rest) = bytes.split_at_checked(length)?;
            *bytes = rest;
            Some(Value::Bytes(text.to_vec()))
        }
        LIST => {
            let header = take(bytes)?;
            let length = match header >> 4 {
                15 => usize::try_from(read_varint(bytes)?).ok()?,
                length => usize::from(length),
            };
            // Each element takes a byte at least.
            if length > bytes.len() {
                return None;
            }
            (0..length).map(|_| element(bytes, header & 0xf, depth)).collect::<Option<_>>().map(Value::List)
        }
        STRUCT => structure(bytes, depth + 1),
        _ => None,
    }
}

fn element(bytes: &mut &[u8], kind: u8, depth: usize) -> Option<Value> {
    if depth > DEEPEST { None } else { value(bytes, kind, depth + 1) }
}

fn take(bytes: &mut &[u8]) -> Option<u8> {
    let (first, rest) = bytes.split_first()?;
    *bytes = rest;
    Some(*first)
}

pub(crate) fn read_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = take(bytes)?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_struct_is_read_as_it_was_written() {
        let bytes = Writer::structure(|writer| {
            writer.i32(1, -3);
            writer.text(4, "é");
            writer.i64(40, i64::MIN);
            writer.inside(41, |inner| inner.i32(2, 7));
            writer.i32s(42, &(0..20).collect::<Vec<_>>());
        });
        let mut rest = bytes.as_slice();
        let value = read(&mut rest).unwrap();
        assert!(rest.is_empty());
        assert_eq!((value.number(1), value.text(4), value.number(40)), (Some(-3), Some("é"), Some(i64::MIN)));
        assert_eq!(value.field(41).unwrap().number(2), Some(7));
        assert_eq!(value.list(42).len(), 20);
        for end in 0..bytes.len() {
            assert_eq!(read(&mut &bytes[..end]), None, "{end}");
        }
    }
}
