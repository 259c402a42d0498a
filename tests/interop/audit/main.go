// Checks a receipt or a whole log of the city with Go's packages for signed notes and tiled logs, and none of ours.
//
//	audit receipt KEY RECEIPT LEAF     is this leaf in the log that signed this receipt?
//	audit log KEY FOLDER               is every entry and every tile what the log signed?
//
// KEY is a file with the log's public key. What is hashed, proved and signed is looked at by golang.org/x/mod/sumdb
// alone; here only files are read and taken apart (C2SP's tlog-proof, tlog-checkpoint and tlog-tiles).
package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8
const width = 1 << height

// ---- what was signed

func openCheckpoint(keyFile string, data []byte) (tree tlog.Tree, origin string, err error) {
	key, err := os.ReadFile(keyFile)
	if err != nil {
		return tree, "", err
	}
	verifier, err := note.NewVerifier(strings.TrimSpace(string(key)))
	if err != nil {
		return tree, "", err
	}
	opened, err := note.Open(data, note.VerifierList(verifier))
	if err != nil {
		return tree, "", err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) < 4 || lines[0] != verifier.Name() {
		return tree, "", errors.New("this is no checkpoint of that log")
	}
	if tree.N, err = strconv.ParseInt(lines[1], 10, 64); err != nil {
		return tree, "", err
	}
	tree.Hash, err = tlog.ParseHash(lines[2])
	return tree, lines[0], err
}

// ---- a receipt

func receipt(keyFile, receiptFile, leafFile string) error {
	data, err := os.ReadFile(receiptFile)
	if err != nil {
		return err
	}
	leaf, err := os.ReadFile(leafFile)
	if err != nil {
		return err
	}
	head, signed, ok := bytes.Cut(data, []byte("\n\n"))
	lines := strings.Split(string(head), "\n")
	if !ok || lines[0] != "c2sp.org/tlog-proof@v1" {
		return errors.New("this is no receipt")
	}
	lines = lines[1:]
	if len(lines) > 0 && strings.HasPrefix(lines[0], "extra ") {
		lines = lines[1:]
	}
	if len(lines) == 0 || !strings.HasPrefix(lines[0], "index ") {
		return errors.New("the receipt names no entry")
	}
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[0], "index "), 10, 64)
	if err != nil {
		return err
	}
	var proof tlog.RecordProof
	for _, line := range lines[1:] {
		hash, err := tlog.ParseHash(line)
		if err != nil {
			return err
		}
		proof = append(proof, hash)
	}
	tree, origin, err := openCheckpoint(keyFile, signed)
	if err != nil {
		return err
	}
	if err := tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(leaf)); err != nil {
		return err
	}
	fmt.Printf("this leaf is entry %d of the %d that %s signed\n", index, tree.N, origin)
	return nil
}

// ---- a log

type memory []tlog.Hash

func (m memory) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	found := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		if index >= int64(len(m)) {
			return nil, errors.New("no such hash")
		}
		found[i] = m[index]
	}
	return found, nil
}

// read gives the file of a tile by its path in the log; where a partial one is gone, the full one serves.
func read(folder, path string) ([]byte, error) {
	data, err := os.ReadFile(filepath.Join(folder, path))
	if errors.Is(err, os.ErrNotExist) {
		if at := strings.LastIndex(path, ".p/"); at >= 0 {
			return os.ReadFile(filepath.Join(folder, path[:at]))
		}
	}
	return data, err
}

func tilePath(tile tlog.Tile) string {
	return strings.Replace(tile.Path(), fmt.Sprintf("tile/%d/", height), "tile/", 1)
}

func bundlePath(number int64, entries int) string {
	path := tilePath(tlog.Tile{H: height, L: 0, N: number, W: entries})
	return strings.Replace(path, "tile/0/", "tile/entries/", 1)
}

func log(keyFile, folder string) error {
	data, err := os.ReadFile(filepath.Join(folder, "checkpoint"))
	if err != nil {
		return err
	}
	tree, origin, err := openCheckpoint(keyFile, data)
	if err != nil {
		return err
	}
	var hashes memory
	for number := int64(0); number*width < tree.N; number++ {
		entries := width
		if left := tree.N - number*width; left < width {
			entries = int(left)
		}
		path := bundlePath(number, entries)
		bundle, err := read(folder, path)
		if err != nil {
			return err
		}
		for i := 0; i < entries; i++ {
			if len(bundle) < 2 || len(bundle)-2 < int(binary.BigEndian.Uint16(bundle)) {
				return fmt.Errorf("%s ends within an entry", path)
			}
			end := 2 + int(binary.BigEndian.Uint16(bundle))
			more, err := tlog.StoredHashes(number*width+int64(i), bundle[2:end], hashes)
			if err != nil {
				return err
			}
			hashes, bundle = append(hashes, more...), bundle[end:]
		}
	}
	if tree.N > 0 {
		root, err := tlog.TreeHash(tree.N, hashes)
		if err != nil {
			return err
		}
		if root != tree.Hash {
			return errors.New("the entries are not those that were signed")
		}
	}
	// every tile of this size, whole ones and those at the right edge
	for level := 0; tree.N>>(height*level) > 0; level++ {
		count := tree.N >> (height * level)
		for number := int64(0); number*width < count; number++ {
			tile := tlog.Tile{H: height, L: level, N: number, W: width}
			if left := count - number*width; left < width {
				tile.W = int(left)
			}
			expected, err := tlog.ReadTileData(tile, hashes)
			if err != nil {
				return err
			}
			found, err := read(folder, tilePath(tile))
			if err != nil {
				return err
			}
			if !bytes.HasPrefix(found, expected) {
				return fmt.Errorf("%s does not hold the hashes of what is under it", tilePath(tile))
			}
		}
	}
	fmt.Printf("all %d entries of %s, and its tiles, are what was signed\n", tree.N, origin)
	return nil
}

func main() {
	err := errors.New("usage: audit receipt KEY RECEIPT LEAF, or audit log KEY FOLDER")
	args := os.Args[1:]
	switch {
	case len(args) == 4 && args[0] == "receipt":
		err = receipt(args[1], args[2], args[3])
	case len(args) == 3 && args[0] == "log":
		err = log(args[1], args[2])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "audit:", err)
		os.Exit(1)
	}
}
