// bolt-judge lets the original bbolt look at files: it checks, lists, edits, makes and loads them.
//
//	bolt-judge check FILE              open it, Tx.Check, find every key again by Get
//	bolt-judge dump FILE               list all buckets and pairs, one a line
//	bolt-judge edit FILE SEED ROUNDS   put and delete at random, checking after each round
//	bolt-judge make FILE KIND SIZE     make a file with pages of SIZE bytes: fresh, edited, nofreelist
//	bolt-judge load FILE SHAPE COUNT   load COUNT pairs in order: flat, four, one (keys in a bucket)
package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"strconv"

	bolt "go.etcd.io/bbolt"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bolt-judge:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 2 {
		return errors.New("a command and a file are needed")
	}
	command, file, rest := args[0], args[1], args[2:]
	number := func(index int) int {
		if index >= len(rest) {
			return 0
		}
		value, _ := strconv.Atoi(rest[index])
		return value
	}
	switch {
	case command == "check" && len(rest) == 0:
		return reading(file, check)
	case command == "dump" && len(rest) == 0:
		return reading(file, dump)
	case command == "edit" && len(rest) == 2:
		return edit(file, int64(number(0)), number(1))
	case command == "make" && len(rest) == 2:
		return makeFile(file, rest[0], number(1))
	case command == "load" && len(rest) == 2:
		return load(file, rest[0], number(1))
	}
	return fmt.Errorf("unknown command %q", args)
}

func reading(file string, do func(*bolt.Tx) error) error {
	db, err := bolt.Open(file, 0o600, &bolt.Options{ReadOnly: true})
	if err != nil {
		return err
	}
	defer db.Close()
	return db.View(do)
}

// bucket is what tx and Bucket have in common.
type bucket interface {
	Cursor() *bolt.Cursor
	Bucket(key []byte) *bolt.Bucket
}

// check finds what Tx.Check finds, keys out of order, and keys that iterating shows and Get does not.
func check(tx *bolt.Tx) error {
	var first error
	for err := range tx.Check() {
		if first == nil {
			first = err
		}
	}
	if first != nil {
		return first
	}
	return checkBucket(tx, nil)
}

func checkBucket(b bucket, get func(key []byte) []byte) error {
	var last []byte
	cursor := b.Cursor()
	for key, value := cursor.First(); key != nil; key, value = cursor.Next() {
		if last != nil && bytes.Compare(last, key) >= 0 {
			return fmt.Errorf("key %q comes after %q", key, last)
		}
		last = key
		if value == nil {
			inner := b.Bucket(key)
			if inner == nil {
				return fmt.Errorf("bucket %q is not found", key)
			}
			if err := checkBucket(inner, inner.Get); err != nil {
				return err
			}
		} else if get == nil {
			return fmt.Errorf("pair %q in the root", key)
		} else if !bytes.Equal(get(key), value) {
			return fmt.Errorf("key %q is not found", key)
		}
	}
	return nil
}

func dump(tx *bolt.Tx) error {
	out := bufio.NewWriterSize(os.Stdout, 1<<16)
	if err := dumpBucket(out, tx); err != nil {
		return err
	}
	return out.Flush()
}

func dumpBucket(out *bufio.Writer, b bucket) error {
	cursor := b.Cursor()
	for key, value := cursor.First(); key != nil; key, value = cursor.Next() {
		if value != nil {
			fmt.Fprintf(out, "%x=%x\n", key, value)
			continue
		}
		inner := b.Bucket(key)
		if sequence := inner.Sequence(); sequence != 0 {
			fmt.Fprintf(out, "%x#%d{\n", key, sequence)
		} else {
			fmt.Fprintf(out, "%x{\n", key)
		}
		if err := dumpBucket(out, inner); err != nil {
			return err
		}
		fmt.Fprintln(out, "}")
	}
	return nil
}

func edit(file string, seed int64, rounds int) error {
	random := rand.New(rand.NewSource(seed))
	db, err := bolt.Open(file, 0o600, &bolt.Options{NoSync: true})
	if err != nil {
		return err
	}
	defer db.Close()
	for round := 0; round < rounds; round++ {
		change := changeSome
		// bbolt 1.3.6 loses pages when a bucket goes in the same transaction as other changes.
		if random.Intn(4) == 0 {
			change = deleteOne
		}
		if err := db.Update(func(tx *bolt.Tx) error { return change(tx, random) }); err != nil {
			return fmt.Errorf("round %d: %w", round, err)
		}
		if err := db.View(check); err != nil {
			return fmt.Errorf("after round %d: %w", round, err)
		}
	}
	return nil
}

// changeSome puts and deletes in some buckets.
func changeSome(tx *bolt.Tx, random *rand.Rand) error {
	for change := 0; change < 20; change++ {
		b, _, err := descend(tx, random)
		if err != nil {
			return err
		}
		if b == nil || random.Intn(20) == 0 {
			name := []byte(fmt.Sprintf("new-%d", random.Intn(50)))
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		} else if err := changeBucket(b, random); err != nil {
			return err
		}
	}
	return nil
}

// deleteOne deletes a bucket that lies in another, with all that is in it.
func deleteOne(tx *bolt.Tx, random *rand.Rand) error {
	for try := 0; try < 10; try++ {
		_, parent, err := descend(tx, random)
		if err != nil {
			return err
		}
		if parent == nil {
			continue
		}
		if key, value := someKey(parent, random); key != nil && value == nil {
			return parent.DeleteBucket(append([]byte(nil), key...))
		}
	}
	return nil
}

// descend goes down into buckets at random: the bucket it comes to and the one around it.
func descend(tx *bolt.Tx, random *rand.Rand) (b, parent *bolt.Bucket, err error) {
	var names [][]byte
	err = tx.ForEach(func(name []byte, _ *bolt.Bucket) error {
		names = append(names, append([]byte(nil), name...))
		return nil
	})
	if err != nil || len(names) == 0 {
		return nil, nil, err
	}
	b = tx.Bucket(names[random.Intn(len(names))])
	for random.Intn(4) != 0 {
		inner := someBucket(b, random)
		if inner == nil {
			break
		}
		b, parent = inner, b
	}
	return b, parent, nil
}

// someKey is the first key from a random place on.
func someKey(b *bolt.Bucket, random *rand.Rand) ([]byte, []byte) {
	place := make([]byte, 3)
	random.Read(place)
	cursor := b.Cursor()
	first, value := cursor.First()
	if first == nil {
		return nil, nil
	}
	// Half of the places share the beginning of the first key, so that they are among the keys.
	if random.Intn(2) == 0 {
		place = append(append([]byte(nil), first[:len(first)/2]...), place...)
	}
	if key, value := cursor.Seek(place); key != nil {
		return key, value
	}
	return first, value
}

func someBucket(b *bolt.Bucket, random *rand.Rand) *bolt.Bucket {
	for try := 0; try < 4; try++ {
		if key, value := someKey(b, random); key != nil && value == nil {
			return b.Bucket(key)
		}
	}
	return nil
}

func changeBucket(b *bolt.Bucket, random *rand.Rand) error {
	switch random.Intn(4) {
	case 0, 1: // Take out a row of keys, so that pages run empty and are merged.
		key, _ := someKey(b, random)
		var row [][]byte
		cursor := b.Cursor()
		for k, v := cursor.Seek(key); key != nil && k != nil && len(row) < 60; k, v = cursor.Next() {
			if v != nil {
				row = append(row, append([]byte(nil), k...))
			}
		}
		for _, k := range row {
			if err := b.Delete(k); err != nil {
				return err
			}
		}
	case 2: // Put some, small and large, so that pages are split.
		for count := 0; count < 30; count++ {
			key := make([]byte, 1+random.Intn(40))
			random.Read(key)
			value := make([]byte, random.Intn(1+random.Intn(3000)))
			if err := b.Put(key, value); err != nil && !errors.Is(err, bolt.ErrIncompatibleValue) {
				return err
			}
		}
	case 3: // Make a bucket.
		name := []byte(fmt.Sprintf("inner-%d", random.Intn(1000)))
		inner, err := b.CreateBucketIfNotExists(name)
		if errors.Is(err, bolt.ErrIncompatibleValue) {
			return nil
		}
		if err != nil {
			return err
		}
		return inner.Put([]byte("key"), []byte("value"))
	}
	return nil
}

func makeFile(file, kind string, pageSize int) error {
	options := &bolt.Options{PageSize: pageSize, NoSync: true, NoFreelistSync: kind == "nofreelist"}
	db, err := bolt.Open(file, 0o600, options)
	if err != nil {
		return err
	}
	defer db.Close()
	if kind == "fresh" {
		return nil
	}
	for round := 0; round < 12; round++ {
		if err := db.Update(func(tx *bolt.Tx) error { return makeRound(tx, round) }); err != nil {
			return err
		}
	}
	return nil
}

// makeRound fills buckets of three shapes and takes out what earlier rounds have put in.
func makeRound(tx *bolt.Tx, round int) error {
	flat, err := tx.CreateBucketIfNotExists([]byte("flat"))
	if err != nil {
		return err
	}
	if err := flat.SetSequence(uint64(round)); err != nil {
		return err
	}
	for number := 0; number < 2000; number++ {
		key := []byte(fmt.Sprintf("key-%06d", number*7919%100000))
		if number%3 == round%3 {
			err = flat.Delete(key)
		} else {
			err = flat.Put(key, bytes.Repeat([]byte{byte(round)}, number%150))
		}
		if err != nil {
			return err
		}
	}
	nested, err := tx.CreateBucketIfNotExists([]byte("nested"))
	if err != nil {
		return err
	}
	for number := 0; number < 200; number++ {
		inner, err := nested.CreateBucketIfNotExists([]byte(fmt.Sprintf("bucket-%d", number)))
		if err != nil {
			return err
		}
		for count := 0; count <= number%7; count++ {
			key := []byte(fmt.Sprintf("%d-%d", round, count))
			if err := inner.Put(key, bytes.Repeat([]byte("v"), number)); err != nil {
				return err
			}
		}
	}
	large, err := tx.CreateBucketIfNotExists([]byte("large"))
	if err != nil {
		return err
	}
	if err := large.Delete([]byte(fmt.Sprintf("large-%d", round-3))); err != nil {
		return err
	}
	return large.Put([]byte(fmt.Sprintf("large-%d", round)), make([]byte, 100000+round))
}

// load is the quickest way that bbolt offers: sorted keys, full pages, 4,000 keys in a transaction,
// no waiting for the disk.
func load(file, shape string, count int) error {
	perBucket := map[string]int{"flat": 0, "four": 4, "one": 1}
	inBucket, known := perBucket[shape]
	if !known {
		return fmt.Errorf("unknown shape %q", shape)
	}
	options := &bolt.Options{NoSync: true, NoFreelistSync: true, PageSize: 4096}
	db, err := bolt.Open(file, 0o600, options)
	if err != nil {
		return err
	}
	defer db.Close()
	// bbolt keeps the value until the transaction ends and copies the key.
	value := bytes.Repeat([]byte{'v'}, 96)
	for start := 0; start < count; start += 4000 {
		end := min(start+4000, count)
		if err := db.Update(func(tx *bolt.Tx) error {
			return loadSome(tx, start, end, inBucket, value)
		}); err != nil {
			return err
		}
	}
	return nil
}

func loadSome(tx *bolt.Tx, start, end, inBucket int, value []byte) error {
	top, err := tx.CreateBucketIfNotExists([]byte("bench"))
	if err != nil {
		return err
	}
	top.FillPercent = 1.0
	b := top
	name, key := []byte("bucket-0000000000000"), []byte("key-0000000000000000")
	for number := start; number < end; number++ {
		if inBucket > 0 && number%inBucket == 0 {
			digits(name, number)
			if b, err = top.CreateBucket(name); err != nil {
				return err
			}
			b.FillPercent = 1.0
		}
		digits(key, number)
		if err := b.Put(key, value); err != nil {
			return err
		}
	}
	return nil
}

// digits writes a number over the end of a key.
func digits(key []byte, number int) {
	for at := len(key) - 1; number > 0; at-- {
		key[at] = byte('0' + number%10)
		number /= 10
	}
}
