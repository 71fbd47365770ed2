//! A YAML file as a tree that knows where each of its values stands.
//!
//! The subset is what configuration needs: one document, texts as keys, no tags. Anchors and aliases work, within a
//! budget: a file of a few lines could otherwise stand for gigabytes.

use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span, StrInput};

use super::diagnostic::Position;

/// How deep a file may nest.
const MAX_DEPTH: usize = 64;

/// How many values a file may hold when every alias is written out.
const MAX_NODES: usize = 50_000;

/// A stretch of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SourceRange {
    pub(super) start: Position,
    /// Characters on the first line; at least 1.
    pub(super) width: usize,
}

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) place: SourceRange,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone)]
pub(super) enum Kind {
    /// A scalar; a plain one (without quotes) may mean a number, true, false or nothing.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) text: String,
    pub(super) place: SourceRange,
}

/// One step from a value to a part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

/// What is wrong with a file, before anything is known of what it means.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) place: SourceRange,
    pub(super) message: String,
    pub(super) hint: Option<String>,
    pub(super) also: Option<(Position, String)>,
}

impl Fault {
    pub(super) fn new(place: SourceRange, message: impl Into<String>) -> Self {
        Self { place, message: message.into(), hint: None, also: None }
    }

    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

impl Node {
    pub(super) fn get(&self, step: &Step) -> Option<&Self> {
        match (&self.kind, step) {
            (Kind::Map(entries), Step::Key(name)) => {
                entries.iter().find(|(key, _)| key.text == *name).map(|(_, node)| node)
            }
            (Kind::List(items), Step::Index(index)) => items.get(*index),
            _ => None,
        }
    }

    /// The place of the key that `step` names.
    pub(super) fn key(&self, step: &Step) -> Option<SourceRange> {
        match (&self.kind, step) {
            (Kind::Map(entries), Step::Key(name)) => {
                entries.iter().find(|(key, _)| key.text == *name).map(|(key, _)| key.place)
            }
            _ => None,
        }
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    fn size(&self) -> usize {
        1 + match &self.kind {
            Kind::Scalar { .. } => 0,
            Kind::List(items) => items.iter().map(Self::size).sum(),
            Kind::Map(entries) => entries.iter().map(|(_, node)| node.size()).sum(),
        }
    }
}

/// The tree of a file; `None` where there is no document in it. Duplicate keys are added to `faults`.
pub(super) fn parse(text: &str, faults: &mut Vec<Fault>) -> Result<Option<Node>, Fault> {
    let mut builder =
        Builder { parser: Parser::new_from_str(text), anchors: HashMap::new(), nodes: 0, faults };
    let mut root = None;
    while let Some((event, span)) = builder.next()? {
        match event {
            Event::DocumentStart(_) if root.is_some() => {
                let fault = Fault::new(place(span), "a second document in the file");
                return Err(fault.hint("write one suite a file, without `---` in between"));
            }
            Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
            Event::StreamEnd => break,
            event => root = Some(builder.node(event, span, 0)?),
        }
    }
    Ok(root)
}

struct Builder<'a, 'f> {
    parser: Parser<'a, StrInput<'a>>,
    /// The values with an anchor, with their sizes.
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
    faults: &'f mut Vec<Fault>,
}

fn position(marker: &Marker) -> Position {
    Position { line: marker.line().max(1), column: marker.col() + 1 }
}

fn place(span: Span) -> SourceRange {
    let (start, end) = (position(&span.start), position(&span.end));
    let width = if start.line == end.line { end.column.saturating_sub(start.column) } else { 1 };
    SourceRange { start, width: width.max(1) }
}

impl<'a> Builder<'a, '_> {
    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, Fault> {
        match self.parser.next_event() {
            None => Ok(None),
            Some(Ok(event)) => Ok(Some(event)),
            Some(Err(error)) => {
                let place = SourceRange { start: position(error.marker()), width: 1 };
                Err(Fault::new(place, format!("this is not YAML: {}", error.info())))
            }
        }
    }

    fn count(&mut self, nodes: usize, place: SourceRange) -> Result<(), Fault> {
        self.nodes += nodes;
        if self.nodes <= MAX_NODES {
            return Ok(());
        }
        let fault = Fault::new(place, format!("more than {MAX_NODES} values, with every alias written out"));
        Err(fault.hint("use fewer aliases, or several suite files"))
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, Fault> {
        let place = place(span);
        if depth > MAX_DEPTH {
            return Err(Fault::new(place, format!("nested more than {MAX_DEPTH} levels deep")));
        }
        let (anchor, tag, kind) = match event {
            Event::Alias(anchor) => return self.alias(anchor, place),
            Event::Scalar(text, style, anchor, tag) => {
                (anchor, tag, Kind::Scalar { text: text.into_owned(), plain: style == ScalarStyle::Plain })
            }
            Event::SequenceStart(anchor, tag) => (anchor, tag, Kind::List(self.items(depth)?)),
            Event::MappingStart(anchor, tag) => (anchor, tag, Kind::Map(self.entries(depth)?)),
            other => {
                return Err(Fault::new(place, format!("this is not YAML: {other:?} in the wrong place")));
            }
        };
        if tag.is_some() {
            return Err(Fault::new(place, "a tag (`!…`) has no meaning here").hint("remove it"));
        }
        self.count(1, place)?;
        let node = Node { place, kind };
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), node.size()));
        }
        Ok(node)
    }

    fn alias(&mut self, anchor: usize, place: SourceRange) -> Result<Node, Fault> {
        let Some((_, size)) = self.anchors.get(&anchor) else {
            return Err(Fault::new(place, "an alias to a value that contains it").hint("write the value out"));
        };
        self.count(*size, place)?;
        Ok(self.anchors[&anchor].0.clone())
    }

    fn items(&mut self, depth: usize) -> Result<Vec<Node>, Fault> {
        let mut items = Vec::new();
        while let Some((event, span)) = self.next()? {
            if matches!(event, Event::SequenceEnd) {
                break;
            }
            items.push(self.node(event, span, depth + 1)?);
        }
        Ok(items)
    }

    fn entries(&mut self, depth: usize) -> Result<Vec<(Key, Node)>, Fault> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        while let Some((event, span)) = self.next()? {
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let node = self.node(event, span, depth + 1)?;
            let Kind::Scalar { text, .. } = node.kind else {
                return Err(Fault::new(node.place, "a key that is not a text").hint("write `key: value`"));
            };
            let key = Key { text, place: node.place };
            let Some((event, span)) = self.next()? else { break };
            let value = self.node(event, span, depth + 1)?;
            if let Some((earlier, _)) = entries.iter().find(|(earlier, _)| earlier.text == key.text) {
                let also = Some((earlier.place.start, format!("`{}` is first given here", key.text)));
                let fault = Fault::new(key.place, format!("the key `{}` is given twice", key.text));
                self.faults.push(Fault { also, ..fault }.hint("keep one of them"));
            } else {
                entries.push((key, value));
            }
        }
        Ok(entries)
    }
}
