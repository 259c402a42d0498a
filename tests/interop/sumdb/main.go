// Another maker's view of our formats: Go's packages for signed notes and tiled logs, asked over a pipe.
//
// Each line on standard input is a request in JSON, each line on standard output its answer. Whatever is made or
// checked here is made or checked by golang.org/x/mod/sumdb, never by code of ours; only names of tiles are rewritten
// (it puts their height first) and cosignatures, which it does not know, are given to it as a kind of key.
package main

import (
	"bufio"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8

type request struct {
	Op      string
	Data    []byte            // a note
	Text    string            // what is to be signed
	Keys    []string          // of verifiers or of signers
	Entries [][]byte          // of the log that later requests are about
	Size    int64             // of the tree, of the newer one
	Old     int64             // size of the older tree
	Index   int64             // of an entry
	Root    []byte            // of the tree, of the newer one
	OldRoot []byte            // of the older tree
	Leaf    []byte            // an entry's hash
	Proof   [][]byte          // its hashes
	Files   map[string][]byte // by their paths
}

type answer struct {
	Error   string            `json:"error,omitempty"`
	Text    string            `json:"text,omitempty"`
	Signers []string          `json:"signers,omitempty"`
	Data    []byte            `json:"data,omitempty"`
	Root    []byte            `json:"root,omitempty"`
	Leaf    []byte            `json:"leaf,omitempty"`
	Proof   [][]byte          `json:"proof,omitempty"`
	Files   map[string][]byte `json:"files,omitempty"`
}

// ---- the log that was loaded

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

var log memory

func load(entries [][]byte) error {
	log = nil
	for i, entry := range entries {
		hashes, err := tlog.StoredHashes(int64(i), entry, log)
		if err != nil {
			return err
		}
		log = append(log, hashes...)
	}
	return nil
}

// ---- tiles by other names

func path(tile tlog.Tile) string {
	return strings.Replace(tile.Path(), fmt.Sprintf("tile/%d/", height), "tile/", 1)
}

type folder map[string][]byte

func (f folder) Height() int                     { return height }
func (f folder) SaveTiles([]tlog.Tile, [][]byte) {}
func (f folder) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	found := make([][]byte, len(tiles))
	for i, tile := range tiles {
		data, ok := f[path(tile)]
		if !ok {
			return nil, fmt.Errorf("%s is not there", path(tile))
		}
		found[i] = data
	}
	return found, nil
}

// ---- cosignatures

type witness struct {
	note.Verifier
	public ed25519.PublicKey
}

func (w witness) Verify(text, signature []byte) bool {
	if len(signature) != 8+ed25519.SignatureSize {
		return false
	}
	time := binary.BigEndian.Uint64(signature)
	message := fmt.Sprintf("cosignature/v1\ntime %d\n%s", time, text)
	return ed25519.Verify(w.public, []byte(message), signature[8:])
}

type named struct {
	name string
	hash uint32
}

func (n named) Name() string            { return n.name }
func (n named) KeyHash() uint32         { return n.hash }
func (n named) Verify(_, _ []byte) bool { return false }

func verifier(text string) (note.Verifier, error) {
	parts := strings.SplitN(text, "+", 3)
	if len(parts) == 3 {
		key, err := base64.StdEncoding.DecodeString(parts[2])
		if err == nil && len(key) == 1+ed25519.PublicKeySize && key[0] == 4 {
			var hash uint32
			if _, err := fmt.Sscanf(parts[1], "%08x", &hash); err != nil {
				return nil, err
			}
			return witness{named{parts[0], hash}, key[1:]}, nil
		}
	}
	return note.NewVerifier(text)
}

// ---- requests

func hash(data []byte) (hashed tlog.Hash) {
	copy(hashed[:], data)
	return
}

func hashes(data [][]byte) (found []tlog.Hash) {
	for _, each := range data {
		found = append(found, hash(each))
	}
	return
}

func plain(hashes []tlog.Hash) (found [][]byte) {
	for _, each := range hashes {
		found = append(found, append([]byte(nil), each[:]...))
	}
	return
}

func serve(r request) (a answer, err error) {
	switch r.Op {
	case "open":
		var known []note.Verifier
		for _, text := range r.Keys {
			key, err := verifier(text)
			if err != nil {
				return a, err
			}
			known = append(known, key)
		}
		opened, err := note.Open(r.Data, note.VerifierList(known...))
		if err != nil {
			return a, err
		}
		a.Text = opened.Text
		for _, signature := range opened.Sigs {
			a.Signers = append(a.Signers, signature.Name)
		}
	case "sign":
		var signers []note.Signer
		for _, text := range r.Keys {
			signer, err := note.NewSigner(text)
			if err != nil {
				return a, err
			}
			signers = append(signers, signer)
		}
		a.Data, err = note.Sign(&note.Note{Text: r.Text}, signers...)
	case "load":
		err = load(r.Entries)
	case "root":
		var root tlog.Hash
		root, err = tlog.TreeHash(r.Size, log)
		a.Root = root[:]
	case "files": // of an append from Old to Size
		a.Files = map[string][]byte{}
		for _, tile := range tlog.NewTiles(height, r.Old, r.Size) {
			if a.Files[path(tile)], err = tlog.ReadTileData(tile, log); err != nil {
				return a, err
			}
		}
	case "prove entry":
		var proof tlog.RecordProof
		proof, err = tlog.ProveRecord(r.Size, r.Index, log)
		a.Proof = plain(proof)
	case "prove growth":
		var proof tlog.TreeProof
		proof, err = tlog.ProveTree(r.Size, r.Old, log)
		a.Proof = plain(proof)
	case "check entry":
		err = tlog.CheckRecord(hashes(r.Proof), r.Size, hash(r.Root), r.Index, hash(r.Leaf))
	case "check growth":
		err = tlog.CheckTree(hashes(r.Proof), r.Size, hash(r.Root), r.Old, hash(r.OldRoot))
	case "read files": // under the root
		reader := tlog.TileHashReader(tlog.Tree{N: r.Size, Hash: hash(r.Root)}, folder(r.Files))
		leaf, err := reader.ReadHashes([]int64{tlog.StoredHashIndex(0, r.Index)})
		if err != nil {
			return a, err
		}
		proof, err := tlog.ProveRecord(r.Size, r.Index, reader)
		if err != nil {
			return a, err
		}
		// the reader of x/mod 0.7 does not compare every tile with its parent (where several of the tree's own hashes
		// lie in one tile, it starts to compare too late), so only the proof shows that the leaf is the log's
		a.Leaf, a.Proof = plain(leaf)[0], plain(proof)
		return a, tlog.CheckRecord(proof, r.Size, hash(r.Root), r.Index, leaf[0])
	default:
		err = errors.New("no such request")
	}
	return a, err
}

func main() {
	lines, out := bufio.NewReader(os.Stdin), bufio.NewWriter(os.Stdout)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		var r request
		var a answer
		if err = json.Unmarshal(line, &r); err == nil {
			a, err = serve(r)
		}
		if err != nil {
			a = answer{Error: err.Error()}
		}
		text, err := json.Marshal(a)
		if err != nil {
			panic(err)
		}
		out.Write(append(text, '\n'))
		out.Flush()
	}
}
