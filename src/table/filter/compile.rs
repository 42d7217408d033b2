//! From an expression's text to what is evaluated: parsed, held against what a filter may name, and given the calls
//! that count its steps.

use super::budget::{self, TICK, TURNS};
use super::with_stack;
use cel::common::ast::{CallExpr, EntryExpr, Expr, SourceInfo, operators};
use cel::{Env, IdedExpr, ParseErrors};
use std::ops::Range;
use std::sync::{Arc, LazyLock};

/// Bytes of an expression.
pub const MOST_BYTES: usize = 2048;
/// Parts of an expression, with macros expanded.
pub const MOST_NODES: usize = 1000;
/// How deep its parts may nest.
pub const MOST_DEPTH: usize = 32;
/// Brackets inside each other, more than any expression of [`MOST_DEPTH`] needs.
const MOST_BRACKETS: usize = 4 * MOST_DEPTH;

/// What an expression may look at.
const VARIABLES: [&str; 4] = ["event", "product", "account", "data"];
/// What it may call, beside operators and the macros `has`, `all`, `exists`, `exists_one`, `map`, `filter`.
const FUNCTIONS: [&str; 10] =
    ["size", "contains", "startsWith", "endsWith", "int", "uint", "double", "string", "bool", "type"];
/// Types that can be named, for comparisons with `type(x)`.
const TYPES: [&str; 9] = ["bool", "int", "uint", "double", "string", "bytes", "list", "map", "null_type"];
/// Macros, for "did you mean".
const MACROS: [&str; 6] = ["has", "all", "exists", "exists_one", "map", "filter"];

/// What is wrong with an expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FilterError {
    /// A lower-case fragment.
    pub message: String,
    /// Which bytes of the expression are wrong.
    pub span: Range<usize>,
    /// The word that is unknown, with those that are allowed in its place.
    pub unknown: Option<(String, Vec<&'static str>)>,
    /// What to do.
    pub help: Option<String>,
}

impl FilterError {
    fn new(message: impl Into<String>, span: Range<usize>) -> Self {
        Self { message: message.into(), span, unknown: None, help: None }
    }

    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// The functions and types there are.
pub(super) fn environment() -> Arc<Env> {
    static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| {
        let mut env = Env::stdlib().with_optional_support(false);
        budget::declare(&mut env).expect("no standard function has an @ in its name");
        Arc::new(env)
    });
    Arc::clone(&ENVIRONMENT)
}

pub(super) fn compile(source: &str) -> Result<IdedExpr, FilterError> {
    let all = 0..source.len();
    if source.trim().is_empty() {
        return Err(
            FilterError::new("the filter is empty", all).help("Leave the key out to have every event.")
        );
    }
    if source.len() > MOST_BYTES {
        let message = format!("the filter has {} bytes, and may have {MOST_BYTES}", source.len());
        return Err(FilterError::new(message, all));
    }
    // How deep it nests is known once it is parsed, and the parser goes as deep as it has to. Where a bracket costs one
    // byte and needs no other to close it, that is deeper than its stack.
    if brackets(source) > MOST_BRACKETS {
        return Err(too_deep(all));
    }
    let parsed = with_stack(|| parse(source));
    parsed.unwrap_or_else(|| Err(FilterError::new("the filter cannot be read", all)))
}

/// The most brackets inside each other; those in strings count as well, which nobody will ever notice.
fn brackets(source: &str) -> usize {
    let deeper = |(now, most): (usize, usize), byte| match byte {
        b'(' | b'[' | b'{' => (now + 1, most.max(now + 1)),
        b')' | b']' | b'}' => (now.saturating_sub(1), most),
        _ => (now, most),
    };
    source.bytes().fold((0, 0), deeper).1
}

fn too_deep(span: Range<usize>) -> FilterError {
    let help = format!("At most {MOST_DEPTH} levels and {MOST_NODES} parts, with macros expanded.");
    FilterError::new("the filter nests too deep", span).help(help)
}

fn parse(source: &str) -> Result<IdedExpr, FilterError> {
    let parsed = environment().parser().parse_with_source_info(source);
    let (mut expression, info) = parsed.map_err(|errors| syntax(source, &errors))?;
    let mut walk = Walk { source, info: &info, scope: Vec::new(), nodes: 0 };
    walk.visit(&mut expression, 0)?;
    Ok(expression)
}

fn syntax(source: &str, errors: &ParseErrors) -> FilterError {
    let Some(first) = errors.errors.first() else {
        return FilterError::new("the filter cannot be read", 0..source.len());
    };
    let (line, column) = first.pos;
    let (line, column) =
        (usize::try_from(line).unwrap_or(1).max(1), usize::try_from(column).unwrap_or(1).max(1));
    let before: usize = source.split_inclusive('\n').take(line - 1).map(str::len).sum();
    let rest = source.get(before..).unwrap_or_default();
    let at = before + rest.chars().take(column - 1).map(char::len_utf8).sum::<usize>();
    let at = at.min(source.len());
    let length = source.get(at..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
    let what = first.msg.lines().next().unwrap_or_default().trim_start_matches("Syntax error: ");
    FilterError::new(format!("not an expression: {what}"), at..at + length)
        .help("An expression like: data.status == \"failed\" && data.details.code >= 500")
}

/// Goes through an expression once.
struct Walk<'a> {
    source: &'a str,
    info: &'a SourceInfo,
    /// Names that the macros around bring along.
    scope: Vec<String>,
    nodes: usize,
}

impl Walk<'_> {
    fn visit(&mut self, node: &mut IdedExpr, depth: usize) -> Result<(), FilterError> {
        self.nodes += 1;
        if depth > MOST_DEPTH {
            return Err(too_deep(0..self.source.len()));
        }
        if self.nodes > MOST_NODES {
            let help = format!("At most {MOST_DEPTH} levels and {MOST_NODES} parts, with macros expanded.");
            return Err(FilterError::new("the filter is too long", 0..self.source.len()).help(help));
        }
        let id = node.id;
        match &mut node.expr {
            Expr::Ident(name) => self.name(id, name)?,
            Expr::Select(select) => self.visit(&mut select.operand, depth + 1)?,
            Expr::List(list) => {
                list.elements.iter_mut().try_for_each(|element| self.visit(element, depth + 1))?;
            }
            Expr::Map(map) => {
                for entry in &mut map.entries {
                    if let EntryExpr::MapEntry(entry) = &mut entry.expr {
                        self.visit(&mut entry.key, depth + 1)?;
                        self.visit(&mut entry.value, depth + 1)?;
                    }
                }
            }
            Expr::Struct(written) => {
                let message = format!("unknown type {:?}", written.type_name);
                return Err(FilterError::new(message, self.span(id)));
            }
            Expr::Comprehension(looped) => {
                self.visit(&mut looped.iter_range, depth + 1)?;
                wrap(&mut looped.iter_range, TURNS);
                self.visit(&mut looped.accu_init, depth + 1)?;
                let outer = self.scope.len();
                self.scope.push(looped.iter_var.clone());
                self.scope.extend(looped.iter_var2.clone());
                self.visit(&mut looped.loop_cond, depth + 1)?;
                self.visit(&mut looped.loop_step, depth + 1)?;
                self.visit(&mut looped.result, depth + 1)?;
                self.scope.truncate(outer);
            }
            Expr::Call(_) => return self.call(node, depth),
            Expr::Literal(_) | Expr::Unspecified => {}
        }
        Ok(())
    }

    fn call(&mut self, node: &mut IdedExpr, depth: usize) -> Result<(), FilterError> {
        let id = node.id;
        let Expr::Call(call) = &mut node.expr else { return Ok(()) };
        let name = call.func_name.as_str();
        let is_operator = name.starts_with(['_', '!', '-', '@']);
        if !is_operator && !FUNCTIONS.contains(&name) {
            let mut error = FilterError::new(format!("unknown function {name:?}"), self.word(id, name));
            error.unknown = Some((name.to_owned(), FUNCTIONS.iter().chain(&MACROS).copied().collect()));
            return Err(error);
        }
        if let Some(target) = &mut call.target {
            self.visit(target, depth + 1)?;
        }
        call.args.iter_mut().try_for_each(|argument| self.visit(argument, depth + 1))?;
        if !is_structure(call) {
            wrap(node, TICK);
        }
        Ok(())
    }

    fn name(&self, id: u64, name: &str) -> Result<(), FilterError> {
        let own = name.strip_prefix('.').unwrap_or(name);
        let is_known = own.starts_with('@')
            || VARIABLES.contains(&own)
            || TYPES.contains(&own)
            || self.scope.iter().any(|bound| bound == own);
        if is_known {
            return Ok(());
        }
        let mut error = FilterError::new(format!("unknown name {own:?}"), self.word(id, own));
        error.unknown = Some((own.to_owned(), VARIABLES.to_vec()));
        Err(error)
    }

    /// Where a part stands.
    fn span(&self, id: u64) -> Range<usize> {
        let Some((start, _)) = self.info.offset_for(id) else { return 0..self.source.len() };
        let start = usize::try_from(start).unwrap_or_default();
        let at: usize = self.source.chars().take(start).map(char::len_utf8).sum();
        at..self.source.len().min(at + 1)
    }

    /// Where a word of a part stands: there, or soon after.
    fn word(&self, id: u64, word: &str) -> Range<usize> {
        let from = self.span(id).start;
        let before = from.saturating_sub(word.len() + 1);
        let starts = [from, before];
        let found = starts.into_iter().find_map(|start| {
            let at = self.source.get(start..)?.find(word)?;
            Some(start + at)
        });
        found.map_or_else(|| self.span(id), |at| at..at + word.len())
    }
}

/// Calls that only hold others together: they cost what those cost. An accumulator's own calls are among them, since
/// the evaluator knows its loops by their shape.
fn is_structure(call: &CallExpr) -> bool {
    let accumulates =
        call.args.iter().any(|argument| matches!(&argument.expr, Expr::Ident(name) if name.starts_with('@')));
    let joins =
        [operators::LOGICAL_AND, operators::LOGICAL_OR, operators::LOGICAL_NOT, operators::CONDITIONAL];
    accumulates || call.func_name == operators::NOT_STRICTLY_FALSE || joins.contains(&call.func_name.as_str())
}

/// Makes `f(node)` of a node.
fn wrap(node: &mut IdedExpr, function: &str) {
    let inner = std::mem::take(node);
    node.id = inner.id;
    node.expr = Expr::Call(CallExpr { func_name: function.to_owned(), target: None, args: vec![inner] });
}
