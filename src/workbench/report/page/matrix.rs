//! Writes the page of `eddy matrix`.

use std::fmt::Write as _;
use std::io::{self, Write};

use super::write_head;
use crate::workbench::check::consistency::Level;
use crate::workbench::sim::matrix::{Cell, Matrix};

/// Writes the matrix as a page in the style of a run's page, without scripts.
///
/// # Errors
///
/// Those of `out`.
pub fn write_matrix(matrix: &Matrix, mut out: impl Write) -> io::Result<()> {
    let run_count = matrix.0.first().map_or(0, |row| row.cells[0].total());
    write_head("eddy matrix", &mut out)?;
    write!(
        out,
        include_str!("matrix.html"),
        run_count = run_count,
        table = table(matrix)
    )
}

/// The rows of the table. None of the texts needs escaping.
fn table(matrix: &Matrix) -> String {
    let mut table = String::from("    <tr><th>level</th><th>store</th>");
    for level in Level::ALL {
        let _ = write!(table, "<th>{}</th>", level.name());
    }
    table.push_str("</tr>\n");
    for row in &matrix.0 {
        let (level, store) = (row.level_name(), &row.store);
        let _ = write!(table, "    <tr><th>{level}</th><th>{store}</th>");
        for cell in row.cells {
            let _ = write!(table, "<td class=\"{}\">{cell}</td>", class(cell));
        }
        table.push_str("</tr>\n");
    }
    table
}

fn class(cell: Cell) -> &'static str {
    match cell {
        Cell { broken: 1.., .. } => "invalid",
        Cell { unknown: 1.., .. } => "unknown",
        Cell { .. } => "valid",
    }
}
