//! Tables for people: no borders, no wrapped cells, shortened with … only on a terminal.

use comfy_table::{Attribute, CellAlignment, Color, ContentArrangement};
use stella_model::screen::Safe;
use unicode_width::UnicodeWidthStr as _;

use super::{Out, Tone};

/// A column.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    header: &'static str,
    right: bool,
    wide: bool,
    spare: bool,
    shrinks: Shrinks,
}

/// How a column gives way where a terminal is too narrow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shrinks {
    /// Only as a last resort, and numbers never.
    Late,
    /// The ends of its texts go.
    End,
    /// The beginnings of its texts go: the end tells more, as of a path.
    Start,
    /// The seconds of its times go.
    Time,
    /// Never: what stands in it is to be copied.
    Never,
}

impl Column {
    /// A column of texts.
    pub(crate) const fn new(header: &'static str) -> Column {
        Column { header, right: false, wide: false, spare: false, shrinks: Shrinks::Late }
    }

    /// The column holds numbers, set to the right.
    pub(crate) const fn right(mut self) -> Column {
        self.right = true;
        self
    }

    /// The column is only shown with `-o wide`.
    pub(crate) const fn wide(mut self) -> Column {
        self.wide = true;
        self
    }

    /// The column is left out where a terminal is too narrow for all.
    pub(crate) const fn spare(mut self) -> Column {
        self.spare = true;
        self
    }

    /// The column gives way where a terminal is too narrow.
    pub(crate) const fn shrinks(mut self) -> Column {
        self.shrinks = Shrinks::End;
        self
    }

    /// The column gives way where a terminal is too narrow, and keeps the ends of its texts.
    pub(crate) const fn shrinks_at_start(mut self) -> Column {
        self.shrinks = Shrinks::Start;
        self
    }

    /// The column is shown whole, whatever the terminal does with it.
    pub(crate) const fn whole(mut self) -> Column {
        self.shrinks = Shrinks::Never;
        self
    }

    /// The column holds times, and gives its seconds where a terminal is too narrow.
    pub(crate) const fn time(mut self) -> Column {
        self.shrinks = Shrinks::Time;
        self
    }
}

/// What stands in a row and column. Texts from outside are escaped on the way in.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    text: String,
    tone: Option<Tone>,
}

impl Cell {
    /// A text, escaped; an empty one becomes `-`.
    pub(crate) fn new(text: impl AsRef<str>) -> Cell {
        let text = text.as_ref();
        let text = if text.is_empty() { "-".to_owned() } else { Safe(text).to_string() };
        Cell { text, tone: None }
    }

    /// A text that was escaped before.
    pub(crate) fn escaped(text: impl Into<String>) -> Cell {
        Cell { text: text.into(), tone: None }
    }

    /// Gives the text a tone.
    pub(crate) fn tone(mut self, tone: Tone) -> Cell {
        self.tone = Some(tone);
        self
    }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Cell {
        Cell::new(text)
    }
}

/// Rows under columns.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table without rows.
    pub(crate) fn new(columns: impl IntoIterator<Item = Column>) -> Table {
        Table { columns: columns.into_iter().collect(), rows: Vec::new() }
    }

    /// Adds a row; it has one cell a column, the wide ones included.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        let row: Vec<Cell> = cells.into_iter().collect();
        debug_assert_eq!(row.len(), self.columns.len(), "a row has one cell a column");
        self.rows.push(row);
    }

    /// Writes the table as lines.
    pub(super) fn write(&self, out: &Out, wide: bool, text: &mut String) {
        let (shown, widths) = self.arrange(out, wide);
        let mut table = comfy_table::Table::new();
        table.load_style(comfy_table::presets::NOTHING);
        table.set_content_arrangement(ContentArrangement::Disabled);
        table.force_no_tty();
        if out.paint.on {
            table.enforce_styling().style_text_only();
        }
        if out.headers {
            let headers = shown.iter().zip(&widths);
            table.set_header(headers.map(|(&i, &width)| shorten(self.columns[i].header, width)));
        }
        for row in &self.rows {
            let cells = shown.iter().zip(&widths);
            let cells = cells.map(|(&i, &width)| cell(&row[i], width, self.columns[i].shrinks));
            table.add_row(cells);
        }
        for (&i, column) in shown.iter().zip(table.column_iter_mut()) {
            column.set_padding((0, 2));
            if self.columns[i].right {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        if out.headers || !self.rows.is_empty() {
            for line in table.lines() {
                text.push_str(line.trim_end());
                text.push('\n');
            }
        }
    }

    /// The columns that are shown, and their widths. Where they do not fit, spare ones go, the last
    /// first; what then is still too wide the terminal wraps: names cut to nothing tell nothing.
    fn arrange(&self, out: &Out, wide: bool) -> (Vec<usize>, Vec<usize>) {
        let mut shown: Vec<usize> =
            (0..self.columns.len()).filter(|&i| wide || !self.columns[i].wide).collect();
        loop {
            let (widths, excess) = self.widths(&shown, out);
            let spare = shown.iter().rposition(|&i| self.columns[i].spare);
            match spare {
                Some(spare) if excess > 0 => drop(shown.remove(spare)),
                _ => return (shown, widths),
            }
        }
    }

    /// The width of each shown column, after the shrinking ones gave way on a narrow terminal, and by
    /// how much they are too wide all the same.
    fn widths(&self, shown: &[usize], out: &Out) -> (Vec<usize>, usize) {
        let natural = |i: usize| {
            let header = if out.headers { self.columns[i].header.width() } else { 0 };
            let cells = self.rows.iter().map(|row| row[i].text.width());
            cells.fold(header, usize::max)
        };
        let mut widths: Vec<usize> = shown.iter().map(|&i| natural(i)).collect();
        let Some(limit) = out.width.map(usize::from) else { return (widths, 0) };
        let gaps = 2 * shown.len().saturating_sub(1);
        let mut excess = (widths.iter().sum::<usize>() + gaps).saturating_sub(limit);
        for (w, &i) in shown.iter().enumerate() {
            if excess > 0 && self.columns[i].shrinks == Shrinks::Time && widths[w] == TIME_WIDTH {
                widths[w] -= SECONDS_WIDTH;
                excess = excess.saturating_sub(SECONDS_WIDTH);
            }
        }
        let texts = |column: &Column| matches!(column.shrinks, Shrinks::End | Shrinks::Start);
        let keeps = |column: &Column| matches!(column.shrinks, Shrinks::Time | Shrinks::Never);
        let words = |column: &Column| !column.right && !keeps(column);
        let takes: [(GivesWay<'_>, usize); 2] = [(&texts, GOOD_WIDTH), (&words, LEAST_WIDTH)];
        for (gives_way, least) in takes {
            while excess > 0 {
                let widest = (0..shown.len())
                    .filter(|&w| gives_way(&self.columns[shown[w]]) && widths[w] > least)
                    .max_by_key(|&w| widths[w]);
                let Some(widest) = widest else { break };
                widths[widest] -= 1;
                excess -= 1;
            }
        }
        (widths, excess)
    }
}

/// Whether a column gives way at all.
type GivesWay<'a> = &'a dyn Fn(&Column) -> bool;

/// Texts shrink down to this before other columns shrink at all.
const GOOD_WIDTH: usize = 16;

/// No column shrinks below this.
const LEAST_WIDTH: usize = 12;

/// Columns of a time such as `2026-11-23T15:00:02Z`, and of the seconds in it.
const TIME_WIDTH: usize = 20;
const SECONDS_WIDTH: usize = 3;

fn cell(cell: &Cell, width: usize, shrinks: Shrinks) -> comfy_table::Cell {
    let text = match shrinks {
        Shrinks::Start => shorten_start(&cell.text, width),
        Shrinks::Time if width + SECONDS_WIDTH == TIME_WIDTH => without_seconds(&cell.text),
        _ => shorten(&cell.text, width),
    };
    let shown = comfy_table::Cell::new(text);
    match cell.tone {
        None => shown,
        Some(Tone::Good) => shown.fg(Color::DarkGreen),
        Some(Tone::Warn) => shown.fg(Color::DarkYellow),
        Some(Tone::Bad) => shown.fg(Color::DarkRed).add_attribute(Attribute::Bold),
        Some(Tone::Dim) => shown.add_attribute(Attribute::Dim),
    }
}

/// The text within `width` columns, its end replaced by … if it is longer.
fn shorten(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut short = String::new();
    for c in text.chars() {
        let mut longer = short.clone();
        longer.push(c);
        if longer.width() + 1 > width {
            break;
        }
        short = longer;
    }
    short.push('…');
    short
}

/// The text within `width` columns, its beginning replaced by … if it is longer.
fn shorten_start(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let fits = |(at, _): &(usize, char)| text[*at..].width() < width;
    let rest = text.char_indices().find(fits).map_or("", |(at, _)| &text[at..]);
    format!("…{rest}")
}

/// A time to the minute: `2026-11-23T15:00Z`. Other texts stay.
fn without_seconds(text: &str) -> String {
    match text.strip_suffix('Z').and_then(|time| time.rsplit_once(':')) {
        Some((minutes, _)) if text.len() == TIME_WIDTH => format!("{minutes}Z"),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Format;
    use crate::output::Paint;

    fn sample() -> Table {
        let columns = [
            Column::new("NAME").shrinks(),
            Column::new("RECORDS").right(),
            Column::new("PUBLISHER").wide(),
        ];
        let mut table = Table::new(columns);
        table.row(["npm".into(), "1,840".into(), "Acme".into()]);
        table.row([
            Cell::new("a very long name of a feed from outside\u{1b}[31m"),
            "7".into(),
            "".into(),
        ]);
        table
    }

    fn show(width: Option<u16>, wide: bool, headers: bool, colour: bool) -> String {
        let mut table = sample();
        table.rows[0][1].tone = Some(Tone::Good);
        written(&table, width, wide, headers, colour)
    }

    fn written(
        table: &Table,
        width: Option<u16>,
        wide: bool,
        headers: bool,
        colour: bool,
    ) -> String {
        let out = Out { format: Format::Table, headers, paint: Paint { on: colour }, width };
        let mut text = String::new();
        table.write(&out, wide, &mut text);
        text
    }

    #[test]
    fn tables_have_no_borders_and_escape_what_comes_from_outside() {
        let expected = "\
NAME                                           RECORDS  PUBLISHER
npm                                              1,840  Acme
a very long name of a feed from outside\\u{1b}[31m        7  -
";
        let shown = show(None, true, true, false);
        let squeeze = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(squeeze(&shown), squeeze(expected));
        assert!(!shown.contains('\u{1b}'));
        assert!(shown.lines().all(|line| line == line.trim_end()));
    }

    #[test]
    fn only_a_terminal_shortens_and_no_line_is_wider_than_it() {
        let shown = show(Some(30), false, true, false);
        assert!(shown.lines().all(|line| line.width() <= 30), "{shown}");
        assert!(shown.contains('…'), "{shown}");
        assert!(!show(None, false, true, false).contains('…'));
        assert_eq!(show(None, false, false, false).lines().count(), 2);
    }

    #[test]
    fn colour_does_not_move_the_columns() {
        let plain = show(None, true, true, false);
        let coloured = show(None, true, true, true);
        assert_ne!(plain, coloured);
        let escapes = regex::Regex::new("\u{1b}\\[[0-9;]*m").expect("a pattern");
        assert_eq!(escapes.replace_all(&coloured, ""), plain);
    }

    #[test]
    fn wide_characters_count_two_columns() {
        assert_eq!(shorten("漢字漢字", 5), "漢字…");
        assert_eq!(shorten("漢字漢字", 8), "漢字漢字");
        assert_eq!(shorten("abcdef", 4), "abc…");
        assert_eq!(shorten_start("漢字漢字", 5), "…漢字");
        assert_eq!(shorten_start("a/b/cdef", 4), "…def");
        assert_eq!(shorten_start("abc", 3), "abc");
    }

    #[test]
    fn spare_columns_go_before_names_are_cut_to_nothing() {
        let mut table = Table::new([
            Column::new("FEED"),
            Column::new("KIND"),
            Column::new("BLOCKED").right().spare(),
            Column::new("LAST INGEST").time().spare(),
        ]);
        table.row(["osv-linux", "advisory", "0", "2026-11-23T15:00:02Z"].map(Cell::new));
        let show = |width: u16| written(&table, Some(width), false, true, false);
        assert!(show(50).contains("BLOCKED") && show(50).contains("LAST INGEST"));
        assert!(show(30).contains("BLOCKED") && !show(30).contains("LAST INGEST"));
        assert_eq!(show(12), "FEED       KIND\nosv-linux  advisory\n");
    }

    #[test]
    fn every_table_fits_its_terminal_and_numbers_stay_whole() {
        let mut table = Table::new([
            Column::new("FEED"),
            Column::new("PLACE").shrinks_at_start(),
            Column::new("RECORDS").right(),
            Column::new("LAST INGEST").time(),
        ]);
        table.row(
            ["acme-of-somewhere", "in/some/folder/x.json", "12,345", "2026-11-23T15:00:02Z"]
                .map(Cell::new),
        );
        table.row(["b", "y.json", "1", ""].map(Cell::new));
        let show = |width: u16| written(&table, Some(width), false, true, false);
        for width in 54..90 {
            let shown = show(width);
            assert!(shown.lines().all(|line| line.width() <= usize::from(width)), "{shown}");
            assert!(shown.contains("12,345") && shown.contains("2026-11-23T15:00"), "{shown}");
        }
        assert!(show(20).contains("acme-of-som…"), "{}", show(20));
        assert!(show(80).contains("15:00:02Z"), "{}", show(80));
        assert!(show(68).contains("in/some/folder/x.json"), "{}", show(68));
        assert!(show(68).contains(" 2026-11-23T15:00Z"), "{}", show(68));
        assert!(show(60).contains("lder/x.json"), "{}", show(60));
    }
}
