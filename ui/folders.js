// Folders that are dropped or chosen, and the pictures in them. ENDINGS comes from html_component.py: the same lists as
// for folders and zips on the server.

const endingOf = (name) => (/\.[^./]+$/.exec(name)?.[0] ?? "").toLowerCase();
const stemOf = (name) => name.slice(0, name.length - endingOf(name).length).toLowerCase();

// Names, with their folders before them, of those files that are pictures: a camera raw only where no picture has its name.
function pictureNames(names) {
  const stems = new Set(names.filter((name) => ENDINGS.pictures.includes(endingOf(name))).map(stemOf));
  return new Set(names.filter((name) => ENDINGS.pictures.includes(endingOf(name)) || (ENDINGS.raws.includes(endingOf(name)) && !stems.has(stemOf(name)))));
}

// Of files {name, file}, each named with its folders: those that are pictures, and the names of the others.
function sortOut(parts) {
  const named = pictureNames(parts.map(({name}) => name));
  return {pictures: parts.filter(({name}) => named.has(name)), others: parts.map(({name}) => name).filter((name) => !named.has(name))};
}

// The entries of a drop; asked for at once, since they are gone after the event.
const entriesOf = (event) => [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);

// The files in dropped folders, at most `most`: {name: with its folders, file}.
async function filesIn(entries, most) {
  const found = [], waiting = [...entries];
  while (waiting.length && found.length < most) {
    const entry = waiting.shift();
    if (entry.isFile) found.push({ name: entry.fullPath, file: await new Promise((take, no) => entry.file(take, no)) });
    else {
      const reader = entry.createReader();
      for (;;) {
        const some = await new Promise((take, no) => reader.readEntries(take, no));
        if (!some.length) break;
        waiting.push(...some);
      }
    }
  }
  return found;
}
