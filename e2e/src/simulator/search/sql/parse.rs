//! From tokens to a statement. Precedence: `NOT` before `AND` before `OR`.

use super::answer::{DEFAULT_ROWS, MAX_ROWS, SqlError};
use super::lex::{Kind, Token, tokens};

/// A statement as it was written.
#[derive(Debug)]
pub(super) struct Statement {
    pub(super) select: Vec<Selected>,
    pub(super) condition: Option<Condition>,
    pub(super) group_by: Vec<Item>,
    pub(super) order_by: Vec<(Item, bool)>,
    pub(super) offset: usize,
    pub(super) limit: usize,
}

/// An item of SELECT.
#[derive(Debug)]
pub(super) struct Selected {
    pub(super) item: Item,
    pub(super) alias: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    Column(Column),
    Extract(Extract),
    Aggregate(Function, Option<Column>),
}

/// A group of a regular expression's first match: `regexp_extract`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Extract {
    pub(super) column: Column,
    pub(super) pattern: String,
    /// 0 is the whole match.
    pub(super) group: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    Count,
    CountDistinct,
    Max,
    Min,
    Arbitrary,
}

/// A column's name, and where it stands.
#[derive(Debug, Clone, Eq)]
pub(super) struct Column {
    pub(super) at: usize,
    pub(super) name: String,
    /// `a.b` without quotation marks is column b of a table a, and there is no such table.
    pub(super) of_table: bool,
}

impl PartialEq for Column {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, self.of_table) == (&other.name, other.of_table)
    }
}

#[derive(Debug)]
pub(super) enum Condition {
    Compare {
        at: usize,
        left: Operand,
        operator: &'static str,
        right: Operand,
    },
    In(usize, Operand, Vec<Operand>),
    Like(usize, Operand, String),
    IsNull(Operand),
    And(Vec<Condition>),
    Or(Vec<Condition>),
    Not(Box<Condition>),
}

#[derive(Debug)]
pub(super) enum Operand {
    Column(Column),
    Text(String),
    Number(i64),
}

/// Words that are no names without quotation marks.
const RESERVED: [&str; 19] = [
    "select", "from", "where", "group", "by", "order", "limit", "as", "and", "or", "not", "in", "like", "is", "null",
    "asc", "desc", "distinct", "having",
];

/// Conditions are read by recursion.
const MAX_DEPTH: usize = 64;

pub(super) fn parse(text: &str) -> Result<Statement, SqlError> {
    let mut parser = Parser {
        tokens: tokens(text)?,
        next: 0,
        end: text.chars().count() + 1,
        depth: 0,
    };
    let statement = parser.statement()?;
    parser.symbol(";");
    match parser.peek() {
        None => Ok(statement),
        Some(_) => Err(parser.unexpected("the end")),
    }
}

struct Parser {
    tokens: Vec<Token>,
    next: usize,
    end: usize,
    /// How many conditions are open.
    depth: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Kind> {
        self.tokens.get(self.next).map(|token| &token.kind)
    }

    fn at(&self) -> usize {
        self.tokens.get(self.next).map_or(self.end, |token| token.at)
    }

    fn is_keyword(&self, ahead: usize, keyword: &str) -> bool {
        let token = self.tokens.get(self.next + ahead).map(|token| &token.kind);
        matches!(token, Some(Kind::Word(word)) if word.eq_ignore_ascii_case(keyword))
    }

    /// Steps over the word if it comes next.
    fn keyword(&mut self, keyword: &str) -> bool {
        let is_next = self.is_keyword(0, keyword);
        self.next += usize::from(is_next);
        is_next
    }

    fn symbol(&mut self, symbol: &str) -> bool {
        let is_next = matches!(self.peek(), Some(Kind::Symbol(next)) if *next == symbol);
        self.next += usize::from(is_next);
        is_next
    }

    fn need(&mut self, found: bool, what: &str) -> Result<(), SqlError> {
        if found { Ok(()) } else { Err(self.unexpected(what)) }
    }

    fn need_keyword(&mut self, keyword: &str) -> Result<(), SqlError> {
        let found = self.keyword(keyword);
        self.need(found, keyword)
    }

    fn need_symbol(&mut self, symbol: &str) -> Result<(), SqlError> {
        let found = self.symbol(symbol);
        self.need(found, symbol)
    }

    fn unexpected(&self, expected: &str) -> SqlError {
        let found = match self.peek() {
            None => "<EOF>".to_owned(),
            Some(Kind::Word(text) | Kind::Quoted(text) | Kind::Text(text)) => text.clone(),
            Some(Kind::Number(number)) => number.to_string(),
            Some(Kind::Symbol(symbol)) => (*symbol).to_owned(),
        };
        SqlError::Syntax {
            at: self.at(),
            message: format!("mismatched input '{found}' expecting {expected}"),
        }
    }

    fn unsupported(&self, what: &str) -> SqlError {
        SqlError::Unsupported {
            at: self.at(),
            what: what.to_owned(),
        }
    }

    fn list<T>(&mut self, one: impl Fn(&mut Self) -> Result<T, SqlError>) -> Result<Vec<T>, SqlError> {
        let mut all = vec![one(self)?];
        while self.symbol(",") {
            all.push(one(self)?);
        }
        Ok(all)
    }

    fn statement(&mut self) -> Result<Statement, SqlError> {
        self.need_keyword("select")?;
        if self.is_keyword(0, "distinct") {
            return Err(self.unsupported("SELECT DISTINCT"));
        }
        let select = self.list(Self::selected)?;
        if self.keyword("from") {
            let table = self.at();
            let name = self.name()?;
            if !name.eq_ignore_ascii_case("log") {
                let what = format!("the table {name}");
                return Err(SqlError::Unsupported { at: table, what });
            }
        }
        let condition = if self.keyword("where") { Some(self.any()?) } else { None };
        let group_by = if self.keyword("group") {
            self.need_keyword("by")?;
            self.list(Self::key)?
        } else {
            Vec::new()
        };
        if self.is_keyword(0, "having") {
            return Err(self.unsupported("HAVING"));
        }
        let order_by = if self.keyword("order") {
            self.need_keyword("by")?;
            self.list(|parser| {
                let item = parser.item()?;
                let descending = parser.keyword("desc");
                if !descending {
                    parser.keyword("asc");
                }
                Ok((item, descending))
            })?
        } else {
            Vec::new()
        };
        let (offset, limit) = if self.keyword("limit") {
            let first = self.rows()?;
            if self.symbol(",") {
                (first, self.rows()?)
            } else {
                (0, first)
            }
        } else {
            (0, DEFAULT_ROWS)
        };
        Ok(Statement {
            select,
            condition,
            group_by,
            order_by,
            offset,
            limit,
        })
    }

    fn rows(&mut self) -> Result<usize, SqlError> {
        let rows = match self.peek() {
            Some(Kind::Number(rows)) => usize::try_from(*rows).ok().filter(|rows| *rows <= MAX_ROWS),
            _ => None,
        };
        let rows = rows.ok_or_else(|| self.unexpected("a number of rows up to 1000000"))?;
        self.next += 1;
        Ok(rows)
    }

    fn selected(&mut self) -> Result<Selected, SqlError> {
        let item = self.item()?;
        let named = self.keyword("as");
        let follows = match self.peek() {
            Some(Kind::Quoted(_)) => true,
            Some(Kind::Word(word)) => !is_reserved(word),
            _ => false,
        };
        let alias = if named || follows { Some(self.name()?) } else { None };
        Ok(Selected { item, alias })
    }

    fn item(&mut self) -> Result<Item, SqlError> {
        if self.peek() == Some(&Kind::Symbol("*")) {
            return Err(self.unsupported("SELECT *"));
        }
        let called = self.tokens.get(self.next + 1).map(|token| &token.kind) == Some(&Kind::Symbol("("));
        let (Some(Kind::Word(function)), true) = (self.peek().cloned(), called) else {
            return self.column().map(Item::Column);
        };
        if function.eq_ignore_ascii_case("regexp_extract") {
            return self.extract();
        }
        let function = match function.to_lowercase().as_str() {
            "count" => Function::Count,
            "max" => Function::Max,
            "min" => Function::Min,
            "arbitrary" => Function::Arbitrary,
            _ => return Err(self.unsupported(&format!("the function {function}"))),
        };
        self.next += 2;
        let one = self.peek() == Some(&Kind::Number(1));
        let item = if function == Function::Count && (one || self.peek() == Some(&Kind::Symbol("*"))) {
            self.next += 1;
            Item::Aggregate(function, None)
        } else if function == Function::Count && self.keyword("distinct") {
            Item::Aggregate(Function::CountDistinct, Some(self.column()?))
        } else {
            Item::Aggregate(function, Some(self.column()?))
        };
        self.need_symbol(")")?;
        Ok(item)
    }

    /// What GROUP BY can name.
    fn key(&mut self) -> Result<Item, SqlError> {
        match self.item()? {
            Item::Aggregate(..) => Err(self.unsupported("an aggregate in GROUP BY")),
            key => Ok(key),
        }
    }

    fn extract(&mut self) -> Result<Item, SqlError> {
        self.next += 2;
        let column = self.column()?;
        self.need_symbol(",")?;
        let Some(Kind::Text(pattern)) = self.peek().cloned() else {
            return Err(self.unexpected("a text in apostrophes"));
        };
        self.next += 1;
        let group = if self.symbol(",") {
            let Some(Kind::Number(group)) = self.peek().cloned() else {
                return Err(self.unexpected("the number of a group"));
            };
            self.next += 1;
            usize::try_from(group).map_err(|_| self.unsupported("a negative group"))?
        } else {
            0
        };
        self.need_symbol(")")?;
        Ok(Item::Extract(Extract { column, pattern, group }))
    }

    fn column(&mut self) -> Result<Column, SqlError> {
        let at = self.at();
        let mut name = self.name()?;
        let mut of_table = false;
        while self.symbol(".") {
            of_table = true;
            name = format!("{name}.{}", self.name()?);
        }
        Ok(Column { at, name, of_table })
    }

    fn name(&mut self) -> Result<String, SqlError> {
        match self.peek().cloned() {
            Some(Kind::Quoted(name)) => {
                self.next += 1;
                Ok(name)
            }
            Some(Kind::Word(name)) if !is_reserved(&name) => {
                self.next += 1;
                Ok(name)
            }
            _ => Err(self.unexpected("a name")),
        }
    }

    fn any(&mut self) -> Result<Condition, SqlError> {
        let mut all = vec![self.every()?];
        while self.keyword("or") {
            all.push(self.every()?);
        }
        Ok(if all.len() == 1 {
            all.remove(0)
        } else {
            Condition::Or(all)
        })
    }

    fn every(&mut self) -> Result<Condition, SqlError> {
        let mut all = vec![self.negated()?];
        while self.keyword("and") {
            all.push(self.negated()?);
        }
        Ok(if all.len() == 1 {
            all.remove(0)
        } else {
            Condition::And(all)
        })
    }

    fn negated(&mut self) -> Result<Condition, SqlError> {
        if self.depth == MAX_DEPTH {
            return Err(self.unsupported("conditions nested so deeply"));
        }
        self.depth += 1;
        let condition = self.operation();
        self.depth -= 1;
        condition
    }

    fn operation(&mut self) -> Result<Condition, SqlError> {
        if self.keyword("not") {
            return Ok(Condition::Not(Box::new(self.negated()?)));
        }
        if self.symbol("(") {
            let inner = self.any()?;
            self.need_symbol(")")?;
            return Ok(inner);
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Result<Condition, SqlError> {
        const OPERATORS: [&str; 7] = ["=", "<>", "!=", "<", "<=", ">", ">="];
        let left = self.operand()?;
        let at = self.at();
        if let Some(operator) = OPERATORS.into_iter().find(|operator| self.symbol(operator)) {
            let right = self.operand()?;
            return Ok(Condition::Compare {
                at,
                left,
                operator,
                right,
            });
        }
        if self.keyword("is") {
            let negated = self.keyword("not");
            self.need_keyword("null")?;
            return Ok(unless(negated, Condition::IsNull(left)));
        }
        let negated = self.keyword("not");
        if self.keyword("in") {
            self.need_symbol("(")?;
            let values = self.list(Self::operand)?;
            self.need_symbol(")")?;
            return Ok(unless(negated, Condition::In(at, left, values)));
        }
        self.need_keyword("like")?;
        match self.peek().cloned() {
            Some(Kind::Text(pattern)) => {
                self.next += 1;
                Ok(unless(negated, Condition::Like(at, left, pattern)))
            }
            _ => Err(self.unexpected("a text in apostrophes")),
        }
    }

    fn operand(&mut self) -> Result<Operand, SqlError> {
        let negative = self.symbol("-");
        match self.peek().cloned() {
            Some(Kind::Number(number)) => {
                self.next += 1;
                Ok(Operand::Number(if negative { -number } else { number }))
            }
            _ if negative => Err(self.unexpected("a number")),
            Some(Kind::Text(text)) => {
                self.next += 1;
                Ok(Operand::Text(text))
            }
            _ => self.column().map(Operand::Column),
        }
    }
}

fn is_reserved(word: &str) -> bool {
    RESERVED.iter().any(|reserved| word.eq_ignore_ascii_case(reserved))
}

fn unless(negated: bool, condition: Condition) -> Condition {
    if negated {
        Condition::Not(Box::new(condition))
    } else {
        condition
    }
}
