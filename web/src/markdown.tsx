import { marked, type Token, type Tokens } from "marked";
import { Fragment, type ComponentChildren, type VNode } from "preact";
import { memo } from "preact/compat";
import { useMemo, useRef } from "preact/hooks";
import { Code } from "./code";

/** One block of the text, as it stands in the source. */
interface Block {
  readonly raw: string;
  readonly token: Token;
}

/**
 * Markdown as elements, never as HTML: raw HTML shows as text, and only http, https and mailto become links.
 *
 * While a text grows (`live`) only its last blocks are lexed and drawn again; what lies before is finished.
 */
export function Markdown({ text, live }: { readonly text: string; readonly live: boolean }) {
  const done = useRef<{ text: string; blocks: Block[] }>({ text: "", blocks: [] });
  const blocks = useMemo(() => {
    if (!live) return lex(text); // links that were defined later are right now
    if (!text.startsWith(done.current.text)) done.current = { text: "", blocks: [] };
    const tail = lex(text.slice(done.current.text.length));
    const finished = tail.slice(0, Math.max(0, tail.length - 2)); // the last one grows, the one before may still join it
    if (finished.length > 0) {
      done.current = {
        text: done.current.text + finished.map((one) => one.raw).join(""),
        blocks: [...done.current.blocks, ...finished],
      };
    }
    return [...done.current.blocks, ...tail.slice(finished.length)];
  }, [text, live]);
  return (
    <div class="markdown">
      {blocks.map((block, at) => <Drawn key={at} raw={block.raw} token={block.token} open={live && at === blocks.length - 1} />)}
    </div>
  );
}

function lex(text: string): Block[] {
  return marked.lexer(text).map((token) => ({ raw: token.raw, token }));
}

/** Drawn again only when its source changed. */
const Drawn = memo(
  ({ token, open }: { readonly raw: string; readonly token: Token; readonly open: boolean }) => block(token, open),
  (old, now) => old.raw === now.raw && old.open === now.open,
);

function all(tokens: readonly Token[] | undefined): ComponentChildren {
  return tokens?.map((token, at) => <Fragment key={at}>{inline(token)}</Fragment>);
}

function block(token: Token, open: boolean): VNode | null {
  switch (token.type) {
    case "heading": {
      const Heading = `h${Math.min(6, (token as Tokens.Heading).depth + 2)}` as "h3";
      return <Heading dir="auto">{all(token.tokens)}</Heading>;
    }
    case "paragraph":
      return <p dir="auto">{all(token.tokens)}</p>;
    case "text":
      return <>{token.tokens ? all(token.tokens) : (token as Tokens.Text).text}</>;
    case "code": {
      const code = token as Tokens.Code;
      const closed = !open || /\n(`{3,}|~{3,})\s*$/.test(code.raw);
      return <Code text={code.text} language={code.lang?.split(/\s/, 1)[0] ?? ""} closed={closed} />;
    }
    case "blockquote":
      return <blockquote dir="auto">{(token.tokens ?? []).map((one, at) => <Fragment key={at}>{block(one, open)}</Fragment>)}</blockquote>;
    case "list": {
      const list = token as Tokens.List;
      const items = list.items.map((item, at) => <Item key={at} item={item} open={open && at === list.items.length - 1} />);
      return list.ordered ? <ol dir="auto" start={list.start === "" ? 1 : list.start}>{items}</ol> : <ul dir="auto">{items}</ul>;
    }
    case "table": {
      const table = token as Tokens.Table;
      return (
        <div class="table" tabIndex={0} role="region" aria-label="Table">
          <table dir="auto">
            <thead><tr>{table.header.map((cell, at) => <th key={at} style={side(cell)}>{all(cell.tokens)}</th>)}</tr></thead>
            <tbody>{table.rows.map((row, n) => <Row key={n} row={row} />)}</tbody>
          </table>
        </div>
      );
    }
    case "hr":
      return <hr />;
    case "space":
    case "def":
      return null;
    case "html":
      return <p dir="auto">{token.raw.trim()}</p>;
    default:
      return <>{inline(token)}</>;
  }
}

/** Drawn again only when its source changed, as rows are: in a long list that grows, nearly none is. */
const Item = memo(
  ({ item, open }: { readonly item: Tokens.ListItem; readonly open: boolean }) => (
    <li dir="auto">
      {item.task && <input type="checkbox" checked={item.checked ?? false} disabled aria-label={item.checked ? "done" : "to do"} />}
      {item.tokens.map((one, n) => <Fragment key={n}>{block(one, open)}</Fragment>)}
    </li>
  ),
  (old, now) => old.item.raw === now.item.raw && old.open === now.open && old.item.loose === now.item.loose,
);

const Row = memo(
  ({ row }: { readonly row: readonly Tokens.TableCell[] }) => <tr>{row.map((cell, at) => <td key={at} style={side(cell)}>{all(cell.tokens)}</td>)}</tr>,
  (old, now) => old.row.length === now.row.length && old.row.every((cell, at) => cell.text === now.row[at]?.text && cell.align === now.row[at]?.align),
);

function side(cell: Tokens.TableCell): { textAlign: "left" | "right" | "center" } | undefined {
  return cell.align === null ? undefined : { textAlign: cell.align };
}

function inline(token: Token): ComponentChildren {
  switch (token.type) {
    case "strong":
      return <strong>{all(token.tokens)}</strong>;
    case "em":
      return <em>{all(token.tokens)}</em>;
    case "del":
      return <del>{all(token.tokens)}</del>;
    case "codespan":
      return <code>{(token as Tokens.Codespan).text}</code>;
    case "br":
      return <br />;
    case "link": {
      const href = safe((token as Tokens.Link).href);
      return href === undefined ? all(token.tokens) : <a href={href} target="_blank" rel="noopener noreferrer nofollow">{all(token.tokens)}</a>;
    }
    case "image": // never fetched: it would tell somebody else who reads this
      return safe((token as Tokens.Image).href) === undefined
        ? (token as Tokens.Image).text
        : <a href={safe((token as Tokens.Image).href)} target="_blank" rel="noopener noreferrer nofollow">{(token as Tokens.Image).text || "image"}</a>;
    case "checkbox": // drawn with its item
      return null;
    case "escape":
    case "text":
      return "tokens" in token && token.tokens ? all(token.tokens) : (token as Tokens.Text).text;
    default:
      return token.raw;
  }
}

function safe(href: string): string | undefined {
  try {
    return ["http:", "https:", "mailto:"].includes(new URL(href).protocol) ? href : undefined;
  } catch {
    return undefined; // relative ones lead nowhere here
  }
}
