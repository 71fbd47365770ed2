//! A page of a listing: the answer to `ListObjectsV2` with `encoding-type=url`.

use percent_encoding::percent_decode_str;
use roxmltree::{Document, Node};

use crate::error::Fault;
use crate::store::Object;

/// Up to 1,000 objects, and where the next page begins.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) objects: Vec<Object>,
    pub(super) next: Option<String>,
}

/// Reads a page; keys lose the store's own `prefix`.
pub(super) fn page(text: &str, prefix: &str) -> Result<Page, Fault> {
    let wrong = |why: &str| Fault::Unavailable(format!("its listing cannot be read: {why}"));
    let document = Document::parse(text).map_err(|error| wrong(&error.to_string()))?;
    let root = document.root_element();
    if root.tag_name().name() != "ListBucketResult" {
        return Err(wrong(&format!("it is a <{}>", root.tag_name().name())));
    }
    let encoded = text_of(root, "EncodingType") == Some("url");
    let mut objects = Vec::new();
    for entry in root.children().filter(|node| node.has_tag_name_ns("Contents")) {
        let key = text_of(entry, "Key").ok_or_else(|| wrong("an object has no key"))?;
        let key = if encoded {
            // A plus is a space in the form encoding that S3 uses here; a real plus is %2B.
            let plain = key.replace('+', " ");
            percent_decode_str(&plain).decode_utf8().map_err(|_| wrong("a key is not UTF-8"))?.into_owned()
        } else {
            key.to_owned()
        };
        let size = text_of(entry, "Size").and_then(|size| size.parse().ok());
        let size = size.ok_or_else(|| wrong("an object has no size"))?;
        let etag = text_of(entry, "ETag").unwrap_or_default().trim_matches('"').to_owned();
        // An empty object whose key is the prefix, or ends in a slash, is how consoles show a folder. One with a content is an
        // object like others, whatever its name.
        let is_folder = |key: &&str| size == 0 && (key.is_empty() || key.ends_with('/'));
        if let Some(key) = key.strip_prefix(prefix).filter(|key| !is_folder(key) && !key.is_empty()) {
            objects.push(Object { key: key.to_owned(), size, etag });
        }
    }
    let more = text_of(root, "IsTruncated") == Some("true");
    let next = text_of(root, "NextContinuationToken").map(str::to_owned);
    if more && next.is_none() {
        return Err(wrong("it goes on, and does not say where"));
    }
    Ok(Page { objects, next: next.filter(|_| more) })
}

trait Named {
    /// Whether it is an element of this name in any namespace: not every server writes S3's own.
    fn has_tag_name_ns(&self, name: &str) -> bool;
}

impl Named for Node<'_, '_> {
    fn has_tag_name_ns(&self, name: &str) -> bool {
        self.is_element() && self.tag_name().name() == name
    }
}

fn text_of<'a>(node: Node<'a, '_>, name: &str) -> Option<&'a str> {
    node.children().find(|child| child.has_tag_name_ns(name)).and_then(|child| child.text())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_decoded_and_the_next_page_is_found() {
        let text = r#"<?xml version="1.0" encoding="UTF-8"?>
            <ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name><Prefix>in/</Prefix>
            <IsTruncated>true</IsTruncated><NextContinuationToken>abc=</NextContinuationToken>
            <EncodingType>url</EncodingType>
            <Contents><Key>in/</Key><Size>0</Size><ETag>&quot;x&quot;</ETag></Contents>
            <Contents><Key>in/a%0Ab+%22%2B%C3%A9.jpg</Key><Size>12</Size><ETag>&quot;5d&quot;</ETag></Contents>
            </ListBucketResult>"#;
        let page = page(text, "in/").unwrap();
        assert_eq!(page.next.as_deref(), Some("abc="));
        let object = Object { key: "a\nb \"+é.jpg".into(), size: 12, etag: "5d".into() };
        assert_eq!(page.objects, [object]);
    }

    #[test]
    fn what_is_no_listing_is_said() {
        for text in ["", "<html/>", "<ListBucketResult><Contents/></ListBucketResult>", "{}"] {
            let fault = page(text, "").unwrap_err();
            assert!(fault.to_string().contains("cannot be read"), "{text}: {fault}");
        }
    }
}
