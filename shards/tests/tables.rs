//! Promises of the files: what was written is read again, and what was damaged is not.

use gpu_shards::{Cell, Column, Kind, TableWriter, read};
use proptest::prelude::*;

fn columns() -> Vec<Column> {
    vec![
        Column::required("key", Kind::Text),
        Column::required("size", Kind::Int64),
        Column::optional("error", Kind::Text),
        Column::optional("width", Kind::Int32),
        Column::optional("origin_x", Kind::Double),
        Column::optional("score", Kind::Float),
        Column::optional("classes", Kind::Int32s),
        Column::optional("embedding", Kind::Floats),
    ]
}

fn maybe(cell: impl Strategy<Value = Cell>) -> impl Strategy<Value = Cell> {
    prop_oneof![Just(Cell::Null), cell]
}

fn row() -> impl Strategy<Value = Vec<Cell>> {
    (
        "\\PC*".prop_map(Cell::Text),
        any::<i64>().prop_map(Cell::Int64),
        maybe(any::<String>().prop_map(Cell::Text)),
        maybe(any::<i32>().prop_map(Cell::Int32)),
        maybe((-1e300..1e300).prop_map(Cell::Double)),
        maybe((-1e30f32..1e30).prop_map(Cell::Float)),
        maybe(prop::collection::vec(any::<i32>(), 0..6).prop_map(Cell::Int32s)),
        maybe(prop::collection::vec(-1e30f32..1e30, 0..40).prop_map(Cell::Floats)),
    )
        .prop_map(|(a, b, c, d, e, f, g, h)| vec![a, b, c, d, e, f, g, h])
}

fn written(rows: &[Vec<Cell>], group_bytes: usize) -> Vec<u8> {
    let mut writer = TableWriter::new(columns(), group_bytes);
    writer.note("model", "sha256:é");
    for row in rows {
        writer.push(row).expect("the row fits");
    }
    writer.finish().expect("it is written")
}

proptest! {
    #[test]
    fn what_was_written_is_read_again(rows in prop::collection::vec(row(), 0..60), group_bytes in 1usize..20_000) {
        let table = read(&written(&rows, group_bytes)).unwrap();
        prop_assert_eq!(table.columns, columns());
        prop_assert_eq!(table.rows, rows);
        prop_assert_eq!(table.notes, [("model".to_owned(), "sha256:é".to_owned())]);
    }

    #[test]
    fn damage_is_noticed_or_harmless_and_never_a_panic(at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let rows = vec![vec![
            Cell::Text("a".into()), Cell::Int64(1), Cell::Null, Cell::Int32(3), Cell::Null, Cell::Null,
            Cell::Int32s(vec![1, 2]), Cell::Floats(vec![0.5; 100]),
        ]; 20];
        let mut bytes = written(&rows, 1000);
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let _ = read(&bytes);
        let _ = read(&bytes[..at]);
    }
}

#[test]
fn a_row_that_does_not_fit_is_refused_and_named() {
    let mut writer = TableWriter::new(columns(), 1 << 20);
    assert!(writer.push(&[]).unwrap_err().to_string().contains("0 cells"));
    let mut row = vec![Cell::Null; 8];
    row[0] = Cell::Text("k".into());
    assert!(writer.push(&row).unwrap_err().to_string().contains("`size`"));
    row[1] = Cell::Int64(1);
    writer.push(&row).unwrap();
    assert_eq!(read(&writer.finish().unwrap()).unwrap().rows, [row]);
}

#[test]
fn the_same_rows_give_the_same_bytes() {
    let row = vec![
        Cell::Text("k".into()),
        Cell::Int64(1),
        Cell::Null,
        Cell::Null,
        Cell::Null,
        Cell::Null,
        Cell::Null,
        Cell::Null,
    ];
    let rows = [row];
    assert_eq!(written(&rows, 9), written(&rows, 9));
}
