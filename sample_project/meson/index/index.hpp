// An inverted index in memory, with positions, ranked by BM25.

#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

// Exceptions that cross the library's border need one type information on both sides, hence exported.
#define TEXTINDEX_API __attribute__((visibility("default")))

namespace textindex {

struct Hit {
    std::uint32_t document; // in the order of adding, from 0
    double score;
};

class TEXTINDEX_API QueryError : public std::runtime_error {
public:
    QueryError(std::size_t position, const std::string &what) : std::runtime_error(what), position(position) {}
    ~QueryError() override;
    const std::size_t position; // byte offset in the query
};

class TEXTINDEX_API Index {
public:
    // Index a text and return its document number.
    std::uint32_t add(std::string_view text);

    // The best documents first. Throws QueryError.
    std::vector<Hit> search(std::string_view query, std::size_t limit) const;

    std::size_t documents() const { return lengths_.size(); }
    std::size_t words() const { return postings_.size(); }

private:
    struct Posting {
        std::uint32_t document;
        std::vector<std::uint32_t> positions; // of the word among the document's words
    };
    using Postings = std::vector<Posting>; // ascending by document

    const Postings *find(const std::string &word) const;
    Postings phrase(const std::vector<std::string> &words) const;
    void score(const Postings &postings, std::unordered_map<std::uint32_t, double> &scores) const;

    std::unordered_map<std::string, Postings> postings_;
    std::vector<std::uint32_t> lengths_; // words of each document
    std::uint64_t total_length_ = 0;
};

} // namespace textindex
